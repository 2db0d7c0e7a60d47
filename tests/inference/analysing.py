"""A node without its processes: instances come in, and what a worker does is done at a call."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delivery.parcels import encoded, peer
from pydicom import dcmread
from pydicom.dataset import Dataset
from rows import Gathering, gathering
from site_model import NAME, write_site_model
from sqlalchemy import select

from node.archive import AnnouncedInstance, Archive
from node.catalog import Catalog
from node.database import Job, Result
from node.delivery.outbox import Outbox
from node.inference.execution import Execution, Station
from node.settings import Rule
from node.studies.assembly import Assembly

BRIGHT_RULE = Rule(name="bright", model=NAME, destination=("PACS",), modality=("MR",))


@dataclass
class Analysing:
    """The gathering side with an archive, a site's own model, and what runs its jobs."""

    side: Gathering
    archive: Archive
    execution: Execution
    folder: Path

    def bring(self, *datasets: Dataset) -> None:
        """Keep instances as the receiver does, over one association."""
        received = []
        for dataset in datasets:
            syntax = dataset.file_meta.TransferSyntaxUID
            announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, syntax)
            received.append(self.archive.keep(announced, encoded(dataset, self.folder)))
        self.side.bring(*received)
        for instance in received:
            self.archive.settle(instance)

    def analyse(self, *datasets: Dataset) -> Job:
        """Bring instances, complete their study, run its job and return that."""
        self.bring(*datasets)
        assert self.side.complete(60) == 1
        return self.run()

    def run(self) -> Job:
        """Run the next job and return it."""
        claim = self.side.queue.claim("worker-1")
        assert claim is not None
        self.execution.run(claim)
        with self.side.database.reading() as session:
            return session.get_one(Job, claim.job_id)

    def results(self, job: Job) -> dict[str, Dataset]:
        """Return a job's results as they lie on disk, by their kind."""
        with self.side.database.reading() as session:
            rows = session.scalars(select(Result).where(Result.job_id == job.id)).all()
        return {row.kind: dcmread(self.archive.path_of(row.path)) for row in rows}

    def outbox(self, port: int) -> Outbox:
        settings = self.side.settings.model_copy(update={"peers": {"PACS": peer(port)}})
        return Outbox(self.side.database, self.archive, settings, self.side.clock, random.Random(1))


def analysing(folder: Path, model: Path | None = None, most_samples: int = 10**9) -> Analysing:
    """Return a node whose only rule runs the site's model, or that in the folder `model`, on MR series."""
    model = model or write_site_model(folder / "models")
    side = gathering(folder, rules=())
    rule = BRIGHT_RULE.model_copy(update={"model": model.name})
    settings = side.settings.model_copy(update={"rules": (rule,)})
    catalog = Catalog([model.parent])
    side = replace(side, settings=settings, assembly=Assembly(side.database, settings, catalog, side.clock))
    archive = Archive(folder)
    execution = Execution(side.database, archive, catalog, side.queue, Station("RADNODE", most_samples))
    return Analysing(side, archive, execution, folder)


def documents(result: Dataset) -> set[str]:
    """Return the SOP Instance UIDs of the documents that a result names as its predecessors."""
    return {
        str(document.ReferencedSOPInstanceUID)
        for study in result.get("PredecessorDocumentsSequence", [])
        for series in study.ReferencedSeriesSequence
        for document in series.ReferencedSOPSequence
    }


def uids(datasets: Sequence[Dataset]) -> set[str]:
    return {str(dataset.SOPInstanceUID) for dataset in datasets}
