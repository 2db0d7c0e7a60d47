"""Retention: files of a study leave the disk once it ended long enough ago and everything was delivered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cached_property

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from node import faults
from node.archive import Archive, RemovalList
from node.clock import Clock, JumpWatch
from node.database import (
    Database,
    Delivery,
    Event,
    EventName,
    Instance,
    Job,
    JobInput,
    Result,
    Series,
    Study,
    record_event,
)
from node.faults import FaultPoint
from node.states import DeliveryState, JobState, StudyState

logger = logging.getLogger("radnode.retention")

LONGEST_ABSENCE = timedelta(days=7)  # of a node that was off; after more the wall clock may as well have been set wrong
STUDIES_AT_ONCE = 20  # so that a pass never keeps the senders waiting for the database

_ENDED = (StudyState.DONE, StudyState.UNMATCHED, StudyState.CANCELLED)
_SAFE = (DeliveryState.SENT, DeliveryState.COMMITTED)
_RUNNING_JOBS = (JobState.QUEUED, JobState.RUNNING)


class Retention:
    """Removes what may go: a list of the files first, then the rows, then the files.

    A crash in between leaves a list, and the next pass removes those of its files that no row refers
    to. The rows of the study itself, its jobs, results, deliveries and events stay for ever.
    """

    def __init__(self, database: Database, archive: Archive, clock: Clock, keep_days: float) -> None:
        """Remove a study's files `keep_days` after the last event about it; 0 keeps them for ever."""
        self._database = database
        self._archive = archive
        self._clock = clock
        self._keep = timedelta(days=keep_days)
        self._jumps = JumpWatch(clock)

    def note_absence(self) -> None:
        """Look for a gap in the record that a start under a wrong clock leaves as well; to be called at each start.

        After one nothing is removed for `keep_days`, so that whoever set the clock has time to notice.
        """
        with self._database.writing() as session:
            now = self._clock.now()
            last = session.scalar(select(Event.at).order_by(Event.id.desc()).limit(1))
            if last is not None and now - last > LONGEST_ABSENCE:
                record_event(session, now, EventName.TIME_SKIPPED, None, days=(now - last).days)

    def remove_expired(self) -> int:
        """Make one pass; return how many studies' files it removed."""
        for removal in self._archive.removals():
            self._remove_files(removal)
        if not self._keep or self._has_just_skipped() or self._is_clock_doubtful():
            return 0
        return sum(self._remove(study_id) for study_id in self._expired())

    @cached_property
    def _skipped_at(self) -> datetime | None:
        """Return when the last gap was noted, which only a start does; all events are looked through once."""
        skips = select(func.max(Event.at)).where(Event.name == EventName.TIME_SKIPPED, Event.at <= self._clock.now())
        with self._database.reading() as session:
            return session.scalar(skips)

    def _has_just_skipped(self) -> bool:
        return self._skipped_at is not None and self._clock.now() - self._skipped_at < self._keep

    def _is_clock_doubtful(self) -> bool:
        """Tell whether the wall clock has jumped since the start: what is old by it may be of today."""
        if not self._jumps.is_doubtful():
            return False
        by = {"by_s": self._jumps.jump_seconds()}
        logger.warning("clock has jumped; no study is removed until restart", extra={"fields": by})
        return True

    def _expired(self) -> Sequence[int]:
        before = self._clock.now() - self._keep
        has_moved = select(Event.id).where(Event.study_id == Study.id, Event.at > before).exists()
        query = select(Study.id).where(Study.state.in_(_ENDED), Study.received_at <= before, ~has_moved)
        with self._database.reading() as session:
            return session.scalars(query.order_by(Study.id).limit(STUDIES_AT_ONCE)).all()

    def _remove(self, study_id: int) -> bool:
        """Remove one study's files unless something about it changed meanwhile."""
        with self._database.reading() as session:
            removal = self._archive.note_removal(_paths_of(session, study_id))
        with self._database.writing() as session:
            study = session.get_one(Study, study_id)
            is_same = set(_paths_of(session, study_id)) == set(removal.paths)
            is_removed = is_same and study.state in _ENDED and not _is_needed(session, study)
            if is_removed:
                study.move(StudyState.REMOVED)
                _forget_files(session, study_id)
                record_event(session, self._clock.now(), EventName.STUDY_REMOVED, study, files=len(removal.paths))
        self._remove_files(removal)
        return is_removed

    def _remove_files(self, removal: RemovalList) -> None:
        """Remove the files of a list that no row refers to; the list itself last.

        The write lock keeps an instance from being recorded between the look at its row and the end
        of its file.
        """
        with self._database.writing() as session:
            needed = _referred_to(session, removal.paths)
            is_done = all(self._archive.remove(path) for path in removal.paths if path not in needed)
        if is_done:
            removal.file.unlink(missing_ok=True)
            faults.reach(FaultPoint.LIST_REMOVED)


def _is_needed(session: Session, study: Study) -> bool:
    """Tell whether a job or a delivery of a study still needs its files; a person who cancels decides on both.

    What was sent is needed as long as its destination is asked to commit to it.
    """
    if study.state == StudyState.CANCELLED:
        return False
    jobs = select(Job.id).where(Job.study_id == study.id, Job.state.in_(_RUNNING_JOBS))
    is_needed = or_(Delivery.state.not_in(_SAFE), Delivery.commitment_due_at.is_not(None))
    unsafe = select(Delivery.id).join(Result).join(Job).where(Job.study_id == study.id, is_needed)
    return session.scalar(jobs.limit(1)) is not None or session.scalar(unsafe.limit(1)) is not None


def _paths_of(session: Session, study_id: int) -> list[str]:
    instances = session.scalars(select(Instance.path).join(Series).where(Series.study_id == study_id)).all()
    results = session.scalars(select(Result.path).join(Job).where(Job.study_id == study_id, Result.path != "")).all()
    return [*instances, *results]


def _forget_files(session: Session, study_id: int) -> None:
    """Delete the rows of a study's instances, and what lies where from those of its results."""
    instances = select(Instance.id).join(Series).where(Series.study_id == study_id)
    session.execute(delete(JobInput).where(JobInput.instance_id.in_(instances)))
    session.execute(delete(Instance).where(Instance.id.in_(instances)))
    for result in session.scalars(select(Result).join(Job).where(Job.study_id == study_id)):
        result.path = ""
        for delivery in result.deliveries:
            if delivery.state not in _SAFE:
                delivery.move(DeliveryState.DEAD)
                delivery.answer = "the study was cancelled and its files removed"


def _referred_to(session: Session, paths: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for column in (Instance.path, Result.path):
        for start in range(0, len(paths), 500):
            found.update(session.scalars(select(column).where(column.in_(paths[start : start + 500]))))
    return found
