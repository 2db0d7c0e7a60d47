"""Repair: the index built again from the files, when the database is lost or does not know them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from sqlalchemy import select

from node.archive import Archive
from node.clock import Clock
from node.database import Database, Study
from node.database.inspection import find_faults
from node.errors import DatabaseUnusable
from node.jobs.progress import hold_study
from node.states import StudyState
from node.studies.index import InstanceIndex
from node.studies.reconciliation import Reconciled, Reconciliation, find_differences
from node.upkeep.copies import set_aside

_HELD_BECAUSE = "its index was rebuilt from files, and results were made of it before; release it to have them again"


@dataclass
class Repaired(Reconciled):
    """What was done, and in `held` how many studies wait for a person because results were made of them before."""

    held: int = 0


class Repair:
    """Gives every file its row; to be used while the node is stopped and its data folder locked."""

    def __init__(self, database_file: Path, archive: Archive, clock: Clock) -> None:
        """Keep a damaged database aside and begin an empty one; one that is whole is only completed."""
        self.aside = _set_aside_if_damaged(database_file, f"{clock.now():damaged-%Y%m%dT%H%M%SZ}")
        self._database = Database(database_file)
        self._database.migrate()
        self._archive = archive
        self._clock = clock
        self._reconciliation = Reconciliation(
            self._database, archive, InstanceIndex(self._database, clock), clock
        )
        self._differences = find_differences(self._database, archive)
        self._own_studies: set[str] = set()
        self._own_instances: set[str] = set()
        self.done = Repaired()

    @property
    def count(self) -> int:
        """Return how many files `run` will look at."""
        return len(self._differences.strays)

    def run(self) -> Iterator[str]:
        """Take one file after another, the oldest first, and count in `done` what became of each."""
        strays = sorted(self._differences.strays, key=lambda path: self._archive.path_of(path).stat().st_mtime_ns)
        yield from self._put_results_aside([path for path in strays if path.startswith("results/")])
        received = [path for path in strays if path.startswith("instances/")]
        yield from self._reconciliation.adopt(received, self.done, self._own_instances)
        self.done.missing = self._reconciliation.note_missing(self._differences.missing)
        self._hold()

    def _put_results_aside(self, paths: Sequence[str]) -> Iterator[str]:
        """Move results whose jobs are forgotten to quarantine, remembering what they are of."""
        for path in paths:
            try:
                header = dcmread(self._archive.path_of(path), stop_before_pixels=True)
                self._own_instances.add(str(header.SOPInstanceUID))
                self._own_studies.add(str(header.StudyInstanceUID))
            except (InvalidDicomError, AttributeError):
                pass  # torn: it was never sent
            self._archive.quarantine_file(path)
            self.done.quarantined += 1
            yield path

    def _hold(self) -> None:
        """Leave it to a person whether what was analysed before is analysed and sent again."""
        for study_uid in sorted(self._own_studies):
            with self._database.writing() as session:
                study = session.scalar(select(Study).where(Study.study_instance_uid == study_uid))
                if study is not None and study.state == StudyState.RECEIVING:
                    hold_study(session, self._clock, study, _HELD_BECAUSE)
                    self.done.held += 1


def _set_aside_if_damaged(database_file: Path, suffix: str) -> Path | None:
    """Return where a damaged database is now; None when it is whole or there is none."""
    if not database_file.exists():
        return None
    try:
        is_whole = not find_faults(database_file)
    except DatabaseUnusable:
        is_whole = False
    return None if is_whole else set_aside(database_file, suffix)
