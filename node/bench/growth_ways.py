"""The same work of the node with more and more already there: in its database, or in the series to read."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import uid
from pydicom.dataset import Dataset
from sqlalchemy import insert, update

from node.archive import Archive
from node.bench.performing import Performance
from node.catalog import Catalog
from node.clock import SystemClock
from node.database import Association, Database, Event, EventName, Instance, Job, Series, Study
from node.delivery.outbox import Outbox
from node.jobs.queue import JobQueue
from node.settings import Settings
from node.states import JobState, StudyState
from node.studies.assembly import Assembly
from node.studies.index import InstanceIndex
from node.vocabulary import ReceivedInstance, study_identity

_CLOCK = SystemClock()


@contextmanager
def filled(folder: Path, studies: int, instances: int, state: JobState) -> Iterator[Database]:
    """Give a database of so many complete studies of so many instances, with a job each that is in this state."""
    folder.mkdir(parents=True)
    database = Database(folder / "radnode.db")
    database.migrate()
    _fill(database, studies, instances, state)
    yield database
    database.close()


def recording(database: Database, instances: int) -> Performance:
    """Record the rows of one more study, each in a transaction of its own that needs no flush, as with the journal."""
    index = InstanceIndex(database, _CLOCK, flushes_instances=False)
    chance = random.Random(1)
    studies = [_study(chance.getrandbits(60), instances)]  # the next one is made up while no time is taken

    def perform() -> list[ReceivedInstance]:
        association = index.open_association("BENCH", "127.0.0.1", "RADNODE")
        for received in studies[-1]:
            index.record(received, association)
        index.close_association(association, "released")
        return studies.pop()

    def make_up_another(_recorded: list[ReceivedInstance]) -> Mapping[str, float]:
        studies.append(_study(chance.getrandbits(60), instances))
        return {}

    return Performance(perform, make_up_another)


def claiming(database: Database, jobs: int) -> Performance:
    """Claim the next job, so many times; they are queued again when the time has stopped."""
    queue = JobQueue(database, _CLOCK, lease_seconds=60.0, attempts=3)

    def perform() -> int:
        return sum(queue.claim("bench") is not None for _ in range(jobs))

    def queue_again(claimed: int) -> Mapping[str, float]:
        with database.writing() as session:
            session.execute(update(Job).values(state=JobState.QUEUED, attempts=0, virtual_time=0.0))
        return {"claimed": claimed}

    return Performance(perform, queue_again)


def looking(database: Database, archive: Archive, times: int) -> Performance:
    """Look for what is due, so many times, as the loops and the workers of an idle node do ten times a second."""
    settings = Settings()
    queue = JobQueue(database, _CLOCK, lease_seconds=60.0, attempts=3)
    assembly = Assembly(database, settings, Catalog([]), _CLOCK)
    outbox = Outbox(database, archive, settings, _CLOCK, random.Random(1))
    looks: tuple[Callable[[], Any], ...] = (
        assembly.complete_quiet_studies,
        outbox.peers_due,
        lambda: queue.claim("bench"),
    )

    def perform() -> int:
        return sum(bool(look()) for _ in range(times) for look in looks)

    return Performance(perform, lambda found: {"found": found})


def _study(number: int, instances: int) -> list[ReceivedInstance]:
    """Return the instances of one new study as the archive hands them to the index."""
    header = Dataset()
    header.StudyInstanceUID, header.SeriesInstanceUID = f"1.2.826.0.1.{number}", f"1.2.826.0.1.{number}.1"
    header.PatientID, header.Modality, header.Rows, header.Columns = "BENCH-1", "MR", 64, 64
    return [
        ReceivedInstance(
            sop_class_uid=uid.MRImageStorage,
            sop_instance_uid=f"1.2.826.0.1.{number}.1.{place}",
            study_instance_uid=header.StudyInstanceUID,
            series_instance_uid=header.SeriesInstanceUID,
            transfer_syntax_uid=uid.ExplicitVRLittleEndian,
            path=_path(number, place),
            sha256=f"{number:032x}{place:032x}",
            size=8192,
            study=study_identity(header),
            header=header,
        )
        for place in range(instances)
    ]


def _fill(database: Database, studies: int, instances: int, state: JobState) -> None:
    with database.writing() as session:
        association = Association(
            calling_ae_title="BENCH",
            calling_address="127.0.0.1",
            called_ae_title="RADNODE",
            opened_at=_CLOCK.now(),
            closed_at=_CLOCK.now(),
        )
        session.add(association)
        session.flush()
        for table, rows in _rows(studies, instances, state, association.id):
            session.execute(insert(table), rows)


def _rows(
    studies: int, instances: int, state: JobState, association_id: int
) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    """Give the rows of all studies, table by table; a study and its series have the same key."""
    now, keys = _CLOCK.now(), range(1, studies + 1)
    texts = ("patient_id", "patient_name", "patient_birth_date", "patient_sex", "study_id", "study_date")
    of_study = dict.fromkeys((*texts, "accession_number", "description", "last_instance_boot_id"), "BENCH") | {
        "state": StudyState.DONE if state == JobState.DONE else StudyState.COMPLETE,
        "received_at": now,
        "last_instance_seconds": 0.0,
    }
    of_job = {"revision": 1, "sender": "BENCH", "model": "bench", "model_sha256": "", "destinations": []}
    of_job |= {"state": state, "created_at": now}
    yield Study, [of_study | {"id": key, "study_instance_uid": f"1.2.{key}"} for key in keys]
    yield Series, [_series_row(key) for key in keys]
    yield Job, [of_job | {"study_id": key, "inputs_digest": str(key)} for key in keys]
    of_instance = {
        "association_id": association_id,
        "sop_class_uid": uid.MRImageStorage,
        "transfer_syntax_uid": uid.ExplicitVRLittleEndian,
        "header": {"Modality": "MR", "Rows": 64, "Columns": 64},
        "size": 8192,
        "is_own_result": False,
        "received_at": now,
    }
    for key in keys:
        yield Instance, [of_instance | _instance_row(key, place) for place in range(instances)]
        kept = {"at": now, "name": str(EventName.INSTANCE_KEPT), "study_id": key, "detail": {}}
        yield Event, [kept] * instances


def _series_row(key: int) -> dict[str, Any]:
    uid_of_it = f"1.2.{key}.1"
    return {"id": key, "study_id": key, "series_instance_uid": uid_of_it, "modality": "MR", "description": ""}


def _instance_row(key: int, place: int) -> dict[str, Any]:
    return {
        "series_id": key,
        "sop_instance_uid": f"1.2.{key}.1.{place}",
        "sha256": f"{key:032x}{place:032x}",
        "path": _path(key, place),
    }


def _path(number: int, place: int) -> str:
    return f"instances/{number % 256:02x}/{number:016x}{place:08x}.dcm"
