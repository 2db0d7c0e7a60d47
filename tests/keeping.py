"""A node's files and rows without a listener: instances kept and recorded as the receiver does it."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders import chest_dx, shaded_picture
from click.testing import CliRunner, Result
from clocks import ManualClock
from delivery.parcels import encoded
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.archive import AnnouncedInstance, Archive
from node.cli import main
from node.database import Database, Instance, Study
from node.studies.admission import admit_instance
from node.studies.index import InstanceIndex
from node.studies.reconciliation import Reconciliation
from node.vocabulary import ReceivedInstance


@dataclass
class Keeper:
    """An archive and its index in one folder, and the time by hand."""

    folder: Path
    archive: Archive
    database: Database
    index: InstanceIndex
    clock: ManualClock

    def place(self, dataset: Dataset) -> ReceivedInstance:
        """Put an instance on disk and tell nobody, as a node that dies before its commit."""
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, syntax)
        received = self.archive.keep(announced, encoded(dataset, self.folder))
        self.archive.settle(received)
        return received

    def bring(self, dataset: Dataset, calling: str = "XRAY") -> ReceivedInstance:
        """Keep and record an instance."""
        received = self.place(dataset)
        association = self.index.open_association(calling, "127.0.0.1", "RADNODE")
        admit_instance(self.archive, self.index, received, association)
        self.index.close_association(association, "released")
        return received

    def reconciliation(self) -> Reconciliation:
        return Reconciliation(self.database, self.archive, self.index, self.clock)

    def rows(self) -> dict[str, str]:
        """Return who sent each instance of the index, by its path."""
        with self.database.reading() as session:
            return {row.path: row.association.calling_ae_title for row in session.scalars(select(Instance))}

    def study(self, dataset: Dataset) -> Study:
        with self.database.reading() as session:
            query = select(Study).where(Study.study_instance_uid == dataset.StudyInstanceUID)
            return session.scalars(query).one()

    def files(self, folder: str) -> set[str]:
        root = self.archive.path_of(folder)
        return {str(path.relative_to(self.folder)) for path in root.rglob("*") if path.is_file()}


def keeper(folder: Path, database_name: str = "radnode.db") -> Keeper:
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(folder / database_name)
    database.migrate()
    clock = ManualClock()
    return Keeper(folder, Archive(folder), database, InstanceIndex(database, clock), clock)


def radnode(data: Path, *words: str | Path) -> Result:
    """Run a verb with the configuration of a node that keeps everything in `data`."""
    config = data.parent / f"{data.name}-config"
    CliRunner().invoke(main, ["init", str(config)])
    (config / "node.toml").write_text(f'[node]\ndata = "{data}"\n')
    return CliRunner().invoke(main, [*map(str, words), "--config", str(config / "node.toml")])


def chest(number: int, **facts: Any) -> Dataset:
    """Return a small chest X-ray, another patient and study for each number."""
    return chest_dx(shaded_picture(seed=number), patient_id=f"P{number}", **facts)


def flip_bytes(path: Path, seed: int, share: float = 0.01) -> None:
    """Change a share of a file's bytes."""
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)
    for at in chance.sample(range(len(content)), max(1, int(share * len(content)))):
        content[at] ^= 1 << chance.randrange(8)
    path.write_bytes(content)
