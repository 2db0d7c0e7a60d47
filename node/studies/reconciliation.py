"""Reconciliation: what lies on disk and what the rows say, compared at start and made to agree."""

from __future__ import annotations

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from node.archive import Archive
from node.clock import Clock
from node.database import Database, Event, EventName, Instance, Job, Result, Series, Study, record_event
from node.errors import ArchiveDiffers, InstanceConflict, MalformedInstance
from node.jobs.progress import hold_study
from node.states import StudyState
from node.studies.admission import admit_instance
from node.studies.index import InstanceIndex
from node.vocabulary import Admission

logger = logging.getLogger("radnode.reconciliation")

# An interrupted node leaves one file for each association and one for each result of a worker.
MOST_AFTER_AN_INTERRUPTION = 1000

_UNFINISHED = frozenset((StudyState.RECEIVING, StudyState.COMPLETE, StudyState.ANALYSING, StudyState.ATTENTION))


@dataclass(frozen=True)
class Differences:
    """Paths, relative to the archive, of files that no row refers to and of rows whose files are gone."""

    strays: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass
class Reconciled:
    """How many files without a row became instances, were repeats or were put aside; how many rows lack a file."""

    adopted: int = 0
    repeated: int = 0
    quarantined: int = 0
    removed_results: int = 0
    missing: int = 0


def find_differences(database: Database, archive: Archive) -> Differences:
    """Compare every file with every row; files that wait on a removal list are left out."""
    leaving = {path for removal in archive.removals() for path in removal.paths}
    strays: list[str] = []
    missing: list[str] = []
    with database.reading() as session:
        for shelf, files in archive.shelves():
            rows = _paths_on(session, shelf)
            strays += files - rows - leaving
            missing += rows - files
    return Differences(tuple(sorted(strays)), tuple(sorted(missing)))


class Reconciliation:
    """Gives every file a row, or another place, and raises an alarm for every row that lost its file."""

    def __init__(self, database: Database, archive: Archive, index: InstanceIndex, clock: Clock) -> None:
        """Work on what nobody else writes to meanwhile: before the node listens, or while it is stopped."""
        self._database = database
        self._archive = archive
        self._index = index
        self._clock = clock

    def run(self, arrivals: Mapping[str, int] | None = None) -> Reconciled:
        """Mend what an interruption left, and tell what was done.

        `arrivals` are the paths of which the journal knows the association that brought them; those without a
        row get one as they would have when they came. Raises ArchiveDiffers for more than an interruption
        explains: the database is older than the files, or a disk is not mounted, and a person should know
        before anything is analysed again.
        """
        arrived = self._admit_arrivals(arrivals or {})
        found = find_differences(self._database, self._archive)
        if max(len(found.strays), len(found.missing)) > MOST_AFTER_AN_INTERRUPTION:
            raise ArchiveDiffers(
                f"{self._database.path}: {len(found.strays)} files have no row and {len(found.missing)} rows no file, "
                f"expected {MOST_AFTER_AN_INTERRUPTION} at most; see that every disk is mounted, then run "
                "`radnode repair`"
            )
        done = Reconciled(adopted=arrived, missing=self.note_missing(found.missing))
        for path in found.strays:
            if path.startswith("results/"):
                self._archive.remove(path)  # nobody was told of it, and its job makes the same bytes again
                done.removed_results += 1
        for _ in self.adopt([path for path in found.strays if path.startswith("instances/")], done):
            pass
        _log(done)
        return done

    def _admit_arrivals(self, arrivals: Mapping[str, int]) -> int:
        """Admit what the journal holds and no row refers to; return how many were new."""
        missed = {path: key for path, key in arrivals.items() if not self._index.refers_to(path)}
        known = self._index.known_associations(missed.values())
        admitted = [self._adopt(path, key, ()) for path, key in missed.items() if key in known]
        return admitted.count(Admission.NEW)

    def adopt(self, paths: Sequence[str], done: Reconciled, own: Container[str] = ()) -> Iterator[str]:
        """Record files that have no row one after another, and count in `done` what became of each.

        Their sender is unknown until it sends them again. What is torn, contradicts an instance that has a
        row, or is a result of ours that came back (`own` has their SOP Instance UIDs) goes to quarantine.
        """
        if not paths:
            return
        association_id = self._index.open_association("", "", "")
        for path in paths:
            admission = self._adopt(path, association_id, own)
            done.quarantined += admission is None
            done.adopted += admission is Admission.NEW
            done.repeated += admission in {Admission.DUPLICATE, Admission.OWN_RESULT}
            yield path
        self._index.close_association(association_id, "files found without a row")

    def _adopt(self, path: str, association_id: int, own: Container[str]) -> Admission | None:
        """Return how a file was admitted, None when it was put aside."""
        try:
            received = self._archive.examine(path)
            if received.sop_instance_uid not in own:
                return admit_instance(self._archive, self._index, received, association_id)
            reason = "a result of ours that came back"
        except InstanceConflict:
            return None
        except MalformedInstance as fault:
            reason = str(fault)
        except FileNotFoundError:  # torn in the journal too, so that nobody was told of it
            return None
        self._archive.quarantine_file(path)
        logger.error("file put aside", extra={"fields": {"path": path, "reason": reason}})
        return None

    def note_missing(self, paths: Iterable[str]) -> int:
        """Record, once for each, that a file of a study is gone; hold a study that is not finished."""
        count = 0
        for path in paths:
            with self._database.writing() as session:
                self._note_missing(session, path)
            count += 1
        return count

    def _note_missing(self, session: Session, path: str) -> None:
        study = session.scalars(_study_of(path)).first()
        if study is None or _is_noted(session, study, path):
            return
        record_event(session, self._clock.now(), EventName.FILE_MISSING, study, path=path)
        if study.state in _UNFINISHED:
            hold_study(session, self._clock, study, f"{path} is no longer on disk; send the study again, or restore it")


def _study_of(path: str) -> Select[Study]:
    """Select the study that a path of the archive belongs to."""
    if path.startswith("results/"):
        return select(Study).join(Job, Job.study_id == Study.id).join(Result).where(Result.path == path)
    return select(Study).join(Series).join(Instance).where(Instance.path == path)


def _is_noted(session: Session, study: Study, path: str) -> bool:
    noted = select(Event.detail).where(Event.study_id == study.id, Event.name == str(EventName.FILE_MISSING))
    return any(detail["path"] == path for detail in session.scalars(noted))


def _paths_on(session: Session, shelf: str) -> frozenset[str]:
    """Return the paths on a shelf that rows refer to; "0" is the character behind "/"."""
    column = Result.path if shelf.startswith("results/") else Instance.path
    return frozenset(session.scalars(select(column).where(column > f"{shelf}/", column < f"{shelf}0")))


def _log(done: Reconciled) -> None:
    counts = {field.name: getattr(done, field.name) for field in fields(done)}
    if any(counts.values()):
        level = logging.ERROR if done.missing or done.quarantined else logging.WARNING
        logger.log(level, "files and rows differed", extra={"fields": counts})
