"""What a person may decide about a study: complete it now, cancel, retry, hold or release it."""

from __future__ import annotations

import getpass
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import Database, EventName, Job, Study, record_event
from node.errors import IllegalMove, UnknownStudy
from node.jobs.progress import derive_progress, hold_study, release_hold
from node.jobs.queue import adopt_model, cancel_job, requeue_job
from node.states import JobState, StudyState
from node.studies.assembly import COMPLETED_BY_HAND

CANCELLED_BY_HAND = "cancelled by a person"

_WAITING = {JobState.QUEUED, JobState.RUNNING}
_ENDED_BADLY = {JobState.FAILED, JobState.REFUSED}
_NOTHING_TO_CANCEL = {StudyState.DONE, StudyState.UNMATCHED, StudyState.CANCELLED, StudyState.REMOVED}


def complete_study(database: Database, clock: Clock, study_instance_uid: str) -> None:
    """Declare that all of a receiving study is there; the running node completes it at once.

    An instance that arrives before that takes the declaration back. Raises UnknownStudy, or
    IllegalMove when the study is not receiving.
    """
    with _study(database, study_instance_uid) as (session, study):
        _expect(study, study.state == StudyState.RECEIVING, "only a receiving study can be completed")
        study.last_instance_boot_id = COMPLETED_BY_HAND
        record_event(session, clock.now(), EventName.STUDY_COMPLETION_ASKED, study, by=person())


def cancel_study(database: Database, clock: Clock, study_instance_uid: str) -> int:
    """End the jobs that wait or run, send nothing more of the study, and return how many jobs were ended.

    Raises UnknownStudy, or IllegalMove when there is nothing to cancel.
    """
    with _study(database, study_instance_uid) as (session, study):
        _expect(study, study.state not in _NOTHING_TO_CANCEL, "there is nothing to cancel")
        waiting = [job for job in study.jobs if job.state in _WAITING]
        for job in waiting:
            cancel_job(session, clock, job, CANCELLED_BY_HAND)
        study.move(StudyState.CANCELLED)
        study.reason, study.held_from = CANCELLED_BY_HAND, ""
        record_event(session, clock.now(), EventName.STUDY_CANCELLED, study, jobs=len(waiting), by=person())
        return len(waiting)


def retry_study(
    database: Database, clock: Clock, study_instance_uid: str, installed: Mapping[str, str] = MappingProxyType({})
) -> int:
    """Queue the failed and refused jobs again, and return how many; a cancelled study begins again.

    They run the models `installed` now, each name with its SHA-256, as those that waited do. Raises UnknownStudy,
    or IllegalMove when there is nothing to try again.
    """
    with _study(database, study_instance_uid) as (session, study):
        _expect(study, study.state != StudyState.HELD, "release it first")
        _expect(study, study.state != StudyState.REMOVED, "its images are gone; send it again")
        is_cancelled = study.state == StudyState.CANCELLED
        jobs = [job for job in study.jobs if _is_to_retry(job, is_cancelled)]
        _expect(study, is_cancelled or bool(jobs), "no job failed; `radnode deliveries resend` sends results again")
        for job in jobs:
            requeue_job(session, clock, job)
            adopt_model(session, clock, job, installed)
        if is_cancelled:
            study.move(StudyState.RECEIVING)
            study.reason = ""
        record_event(session, clock.now(), EventName.STUDY_RETRIED, study, jobs=len(jobs), by=person())
        derive_progress(session, study)
        return len(jobs)


def hold_study_by_hand(
    database: Database, clock: Clock, study_instance_uid: str, reason: str = "held by a person"
) -> None:
    """Analyse and send nothing more of a study until it is released; what a job that runs concludes waits.

    Raises UnknownStudy, or IllegalMove when it is held already or removed.
    """
    with _study(database, study_instance_uid) as (session, study):
        _expect(study, study.state != StudyState.HELD, f"it is held already: {study.reason}")
        _expect(study, study.state != StudyState.REMOVED, "there is nothing to hold")
        hold_study(session, clock, study, reason, by=person())


def release_study(database: Database, clock: Clock, study_instance_uid: str) -> str:
    """Put a held study back to where it was, and return the state it is in then.

    One that received instances meanwhile gathers again. Raises UnknownStudy, or IllegalMove when it
    is not held.
    """
    with _study(database, study_instance_uid) as (session, study):
        release_hold(session, study)
        record_event(session, clock.now(), EventName.STUDY_RELEASED, study, by=person())
        return str(study.state)


def person() -> str:
    """Return the name of the operating system's user who runs this command, for the audit trail."""
    return getpass.getuser()


def _is_to_retry(job: Job, is_cancelled: bool) -> bool:
    by_hand = job.state == JobState.CANCELLED and job.reason == CANCELLED_BY_HAND
    return job.state in _ENDED_BADLY or (is_cancelled and by_hand)


@contextmanager
def _study(database: Database, study_instance_uid: str) -> Iterator[tuple[Session, Study]]:
    """Give a study's row in a transaction of its own; raises UnknownStudy."""
    with database.writing() as session:
        study = session.scalar(select(Study).where(Study.study_instance_uid == study_instance_uid))
        if study is None:
            raise UnknownStudy(
                f"study {study_instance_uid}: not in {database.path}; `radnode studies list` shows those that are"
            )
        yield session, study


def _expect(study: Study, is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise IllegalMove(f"study {study.study_instance_uid} is {study.state}; {otherwise}")
