"""Instances, models and a whole gathering side for tests that need no pixel data and no network."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from clocks import ManualClock
from pydicom import uid
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.catalog import Catalog, bundled_models
from node.database import Database, Job, Result, Study
from node.jobs.queue import JobQueue
from node.peers import Peer
from node.settings import Rule, Settings
from node.states import JobState
from node.studies.assembly import Assembly
from node.studies.index import InstanceIndex
from node.vocabulary import ReceivedInstance, study_identity

LUNG_RULE = Rule(name="lungs", model="chest_dx_lungs", destination=("PACS",), modality=("DX",), body_part=("CHEST",))
PEERS = {
    "PACS": Peer(ae_title="PACS", host="127.0.0.1", port=4242),
    "XRAY": Peer(ae_title="XRAY", host="127.0.0.1", port=4243, quiet_seconds=2.0),
}


def received(number: int = 1, content: str = "a", **facts: str) -> ReceivedInstance:
    """Return a chest DX instance of study 1.2.3 as the archive would hand it over."""
    header = Dataset()
    values = {
        "PatientID": "P1",
        "PatientName": "Made^Up",
        "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.4",
        "SOPInstanceUID": f"1.2.3.4.{number}",
        "SOPClassUID": uid.DigitalXRayImageStorageForPresentation,
        "Modality": "DX",
        "BodyPartExamined": "CHEST",
        "ViewPosition": "PA",
        "StudyDescription": "Chest PA",
    } | {key: value for key, value in facts.items() if key[0].isupper()}
    for keyword, value in values.items():
        setattr(header, keyword, value)
    return ReceivedInstance(
        sop_class_uid=values["SOPClassUID"],
        sop_instance_uid=values["SOPInstanceUID"],
        study_instance_uid=values["StudyInstanceUID"],
        series_instance_uid=values["SeriesInstanceUID"],
        transfer_syntax_uid=facts.get("transfer_syntax_uid", uid.ExplicitVRLittleEndian),
        path=f"instances/00/{number}{content}.dcm",
        sha256=hashlib.sha256(f"{number}{content}".encode()).hexdigest(),
        size=100,
        study=study_identity(header),
        header=header,
    )


@dataclass
class Gathering:
    """The index, assembly and queue over one real database, under a clock moved by hand."""

    database: Database
    clock: ManualClock
    settings: Settings
    index: InstanceIndex
    assembly: Assembly
    queue: JobQueue

    def bring(self, *instances: ReceivedInstance, calling: str = "XRAY") -> list[str]:
        """Send instances over one association that is released afterwards; return how each was admitted."""
        association = self.index.open_association(calling, "127.0.0.1", "RADNODE")
        admissions = [str(self.index.record(instance, association)) for instance in instances]
        self.index.close_association(association, "released")
        return admissions

    def make_result(self, made: ReceivedInstance) -> None:
        """Add the row of a result of ours with the UIDs of an instance, of a job of the only study."""
        with self.database.writing() as session:
            study, now = session.scalars(select(Study)).one(), self.clock.now()
            job = Job(study=study, revision=1, sender="XRAY", model="m", model_sha256="s", inputs_digest="d")
            job.destinations, job.state, job.created_at = [], JobState.DONE, now
            result = Result(job=job, kind="k", sop_class_uid=made.sop_class_uid, sop_instance_uid=made.sop_instance_uid)
            result.series_instance_uid, result.path, result.sha256 = made.series_instance_uid, "p", "s"
            result.created_at = now
            session.add(result)

    def complete(self, quiet_seconds: float = 2.0) -> int:
        """Let the quiet time pass and complete what is complete then."""
        self.clock.pass_seconds(quiet_seconds)
        return self.assembly.complete_quiet_studies()


def gathering(folder: Path, rules: tuple[Rule, ...] = (LUNG_RULE,), busy_seconds: float = 30.0) -> Gathering:
    """Return a gathering side with the bundled models and the peers PACS and XRAY."""
    clock = ManualClock()
    database = Database(folder / "radnode.db", busy_seconds)
    database.migrate()
    settings = Settings(peers=PEERS, rules=rules)
    return Gathering(
        database=database,
        clock=clock,
        settings=settings,
        index=InstanceIndex(database, clock),
        assembly=Assembly(database, settings, Catalog([bundled_models()]), clock),
        queue=JobQueue(database, clock, lease_seconds=30.0, attempts=3),
    )
