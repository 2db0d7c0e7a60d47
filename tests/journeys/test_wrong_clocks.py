"""A wall clock that is wrong by ten years, and jumps, costs no study and no attempt, and sends nothing twice."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from builders import chest_dx, write
from dcmtk import free_port
from pydicom.dataset import Dataset
from served import ServedNode, are_gone, hanging_model
from sqlalchemy import select
from waiting import until
from wall_clock import WallClock, needs_faketime

from node.database import Database, Delivery, Event
from node.database.tables import Table, UtcDateTime
from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom
from node.studies.overview import StudyDetail

pytestmark = needs_faketime

TEN_YEARS = timedelta(days=3652)
RESULTS_OF_A_STUDY = 5
LEASE_SECONDS = 10.0
# A deadline and a retry that no test waits for, unless time is counted by the clock that jumps.
SETTINGS = f"""
[node]
models = ["{{models}}"]
[workers]
lease_seconds = {LEASE_SECONDS}
deadline_seconds = 200.0
[delivery]
first_retry_seconds = 0.2
longest_retry_seconds = 900.0
"""


@dataclass
class Journey:
    """What became of four studies, sent while the clock jumped."""

    details: list[StudyDetail]
    times: list[datetime]
    events: list[str]
    returned: list[Dataset]
    clock: WallClock
    log: str


@dataclass
class Stage:
    """The node, the PACS that it can reach or not, and the model that hangs when the test wants it."""

    node: ServedNode
    model: Path
    clock: WallClock
    sent: Path

    def send(self, number: int) -> Dataset:
        """Send a study of its own patient."""
        chest = chest_dx(draw_phantom(number).picture, bits=12, patient_id=f"P{number}")
        self.node.send(write(chest, self.sent))
        return chest

    def send_and_hang(self, number: int) -> Dataset:
        """Send a study and return once its job has begun and hangs."""
        (self.model / "hang").touch()
        (self.model / "begun").unlink(missing_ok=True)
        chest = self.send(number)
        until((self.model / "begun").exists, self.node.folder / "node.log")
        return chest

    def let_go(self) -> None:
        """Let the job end, after its lease was renewed once more and the supervisor has looked at it."""
        time.sleep(LEASE_SECONDS / 2)
        (self.model / "hang").unlink()

    def kill(self) -> None:
        """End node and worker in the middle of a job, which then hangs no more."""
        workers = self.node.workers()
        self.node.stop(signal.SIGKILL)
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        self.clock.forget(self.node.process.pid, *workers)
        until(lambda: are_gone(workers), self.node.folder / "node.log")
        (self.model / "hang").unlink()

    def delayed(self) -> int:
        with Database(self.node.folder / "radnode-data" / "radnode.db").reading() as session:
            return len(session.scalars(select(Delivery).where(Delivery.state == "retrying")).all())


@pytest.fixture(scope="module")
def journey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journey]:
    """Four studies: ahead while the PACS is away, behind the true time, ahead after a death, and behind again."""
    folder = tmp_path_factory.mktemp("clocks")
    home = folder / "node"
    home.mkdir()
    model = hanging_model(folder)
    with SmallPacs(folder / "away", "PACS", free_port()) as away:
        settings = SETTINGS.format(models=model.parent)
        node = ServedNode(home, away, settings, model="chest_dx_hanging")
    clock = WallClock(home / "clock")  # in the folder of the settings, which a worker may read
    node.environment = clock.environment | {"TZ": "America/St_Johns"}
    stage = Stage(node, model, clock, folder / "sent")
    node.start()
    try:
        yield live(stage, SmallPacs(folder / "pacs", "PACS", away_port(node)))
    finally:
        node.stop()


def away_port(node: ServedNode) -> int:
    """Return the port of the PACS, on which nothing listens yet."""
    line = next(line for line in (node.folder / "peers.toml").read_text().splitlines() if line.startswith("port"))
    return int(line.split("=")[1])


def live(stage: Stage, pacs: SmallPacs) -> Journey:
    node, clock = stage.node, stage.clock
    studies = [stage.send_and_hang(1)]
    clock.set(TEN_YEARS)
    stage.let_go()
    until(lambda: stage.delayed() == RESULTS_OF_A_STUDY, node.folder / "node.log")
    clock.set(-TEN_YEARS)
    node.pacs = pacs
    with pacs:
        studies.append(stage.send(2))
        clock.set(timedelta())
        node.finished(studies[1])
        studies.append(stage.send_and_hang(3))
        clock.set(-TEN_YEARS)
        stage.kill()
        clock.set(TEN_YEARS)
        node.start()
        studies.append(stage.send(4))
        clock.set(-TEN_YEARS)  # while nobody knows yet whether more of the study comes
        details = [node.finished(study) for study in studies]
        returned = node.returned()
    database = Database(node.folder / "radnode-data" / "radnode.db")
    with database.reading() as session:
        events = [event.name for event in session.scalars(select(Event).order_by(Event.id))]
    return Journey(details, times_in(database), events, returned, clock, node.log)


def times_in(database: Database) -> list[datetime]:
    """Return every time in every row."""
    columns = [
        column
        for table in Table.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, UtcDateTime)
    ]
    with database.reading() as session:
        return [at for column in columns for at in session.scalars(select(column)) if at is not None]


def test_each_study_is_done_and_no_job_lost_an_attempt(journey: Journey) -> None:
    assert [detail.study.state for detail in journey.details] == ["done"] * 4
    assert [[job.attempts for job in detail.jobs] for detail in journey.details] == [[1]] * 4


def test_each_result_is_sent_once_also_those_that_waited_for_the_destination(journey: Journey) -> None:
    assert len({dataset.SOPInstanceUID for dataset in journey.returned}) == len(journey.returned)
    assert Counter(dataset.PatientID for dataset in journey.returned) == dict.fromkeys(
        ["P1", "P2", "P3", "P4"], RESULTS_OF_A_STUDY
    )


def test_no_deadline_lease_or_pulse_runs_out_because_the_clock_jumped(journey: Journey) -> None:
    assert not [word for word in ("worker hangs", "lease lost", "worker died", "Traceback") if word in journey.log]
    assert not {"job attempt failed", "job failed", "delivery dead"} & set(journey.events)


def test_every_time_in_a_row_is_one_that_the_clock_showed_in_utc(journey: Journey) -> None:
    assert len({at.year for at in journey.times}) == len(journey.clock.offsets)
    assert [at for at in journey.times if not journey.clock.may_have_shown(at)] == []
