"""What leaves the disk, what never does, and what a crash in between leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture
from delivery.parcels import Scene, encoded
from sqlalchemy import func, select

from node.archive import AnnouncedInstance, Archive
from node.database import Database, Delivery, Event, Instance, Job, JobInput, Result, Study
from node.delivery.outbox import resend
from node.delivery.retention import Retention
from node.demo.pacs import SmallPacs
from node.states import DeliveryState, StudyState
from node.studies.overview import describe_study, list_studies
from node.vocabulary import ReceivedInstance

A_DAY = 86400.0


@pytest.fixture
def delivered(scene: Scene, tmp_path: Path) -> Scene:
    """A study that is done."""
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due("PACS")
    assert scene.study_state() == "done"
    return scene


def retention(scene: Scene, keep_days: float = 7.0) -> Retention:
    return Retention(scene.side.database, scene.archive, scene.side.clock, keep_days)


def files(scene: Scene) -> list[Path]:
    root = scene.archive.path_of("")
    return [path for name in ("instances", "results", "removal") for path in (root / name).rglob("*") if path.is_file()]


def count(scene: Scene, table: type) -> int:
    with scene.side.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def receive_again(scene: Scene, tmp_path: Path) -> str:
    """Receive the image of the scene once more, as the handler of C-STORE does; return its admission."""
    dataset = chest_dx(shaded_picture())
    announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)
    kept: ReceivedInstance = scene.archive.keep(announced, encoded(dataset, tmp_path))
    (admission,) = scene.side.bring(kept)
    scene.archive.settle(kept)
    return admission


def test_a_delivered_study_leaves_the_disk_after_the_days_it_is_kept(delivered: Scene) -> None:
    keeper = retention(delivered)
    delivered.side.clock.pass_seconds(6.9 * A_DAY)
    assert keeper.remove_expired() == 0
    assert len(files(delivered)) == 5
    delivered.side.clock.pass_seconds(0.2 * A_DAY)
    assert keeper.remove_expired() == 1
    assert files(delivered) == []
    assert keeper.remove_expired() == 0


def test_a_removed_study_is_shown_as_such_with_everything_that_happened_to_it(delivered: Scene) -> None:
    events = count(delivered, Event)
    keeper = retention(delivered)
    delivered.side.clock.pass_seconds(8 * A_DAY)
    keeper.remove_expired()
    (line,) = list_studies(delivered.side.database)
    assert (line.state, line.instances, line.jobs) == ("removed", 0, 1)
    detail = describe_study(delivered.side.database, delivered.study_uid)
    assert [delivery.state for delivery in detail.deliveries] == ["sent"] * 4
    assert detail.events[-1].name == "study removed"
    assert count(delivered, Event) == events + 1


def test_zero_days_keep_everything_for_ever(delivered: Scene) -> None:
    keeper = retention(delivered, keep_days=0.0)
    delivered.side.clock.pass_seconds(10_000 * A_DAY)
    assert keeper.remove_expired() == 0
    assert len(files(delivered)) == 5


@pytest.mark.parametrize("state", [DeliveryState.PENDING, DeliveryState.RETRYING, DeliveryState.DEAD])
@pytest.mark.parametrize("study_state", [StudyState.DONE, StudyState.UNMATCHED])
def test_nothing_is_removed_before_it_is_delivered_whatever_the_study_says(
    delivered: Scene, state: DeliveryState, study_state: StudyState
) -> None:
    keeper = retention(delivered)
    with delivered.side.database.writing() as session:
        session.scalars(select(Delivery)).first().state = state
        session.scalars(select(Study)).one().state = study_state
    delivered.side.clock.pass_seconds(100 * A_DAY)
    assert keeper.remove_expired() == 0
    assert len(files(delivered)) == 5


@pytest.mark.parametrize("state", ["receiving", "analysing", "attention", "held"])
def test_a_study_that_has_not_ended_is_kept_however_old(delivered: Scene, state: str) -> None:
    keeper = retention(delivered)
    with delivered.side.database.writing() as session:
        session.scalars(select(Study)).one().state = StudyState(state)
    delivered.side.clock.pass_seconds(100 * A_DAY)
    assert keeper.remove_expired() == 0


def test_a_study_that_a_person_cancelled_is_removed_undelivered(scene: Scene) -> None:
    keeper = retention(scene)
    with scene.side.database.writing() as session:
        session.scalars(select(Study)).one().move(StudyState.CANCELLED)
    scene.side.clock.pass_seconds(8 * A_DAY)
    assert keeper.remove_expired() == 1
    assert files(scene) == []
    assert scene.states() == {DeliveryState.DEAD}


def test_images_sent_again_after_their_removal_are_kept_and_not_analysed_again(
    delivered: Scene, tmp_path: Path
) -> None:
    keeper = retention(delivered)
    delivered.side.clock.pass_seconds(8 * A_DAY)
    keeper.remove_expired()
    assert receive_again(delivered, tmp_path) == "new"
    assert delivered.study_state() == "receiving"
    delivered.side.complete()
    assert delivered.study_state() == "done"
    assert delivered.source.exists()
    assert (count(delivered, Instance), count(delivered, Job), count(delivered, JobInput)) == (1, 1, 1)
    assert keeper.remove_expired() == 0


def test_what_was_removed_is_not_sent_again(delivered: Scene) -> None:
    keeper = retention(delivered)
    delivered.side.clock.pass_seconds(8 * A_DAY)
    keeper.remove_expired()
    assert resend(delivered.side.database, delivered.side.clock, [1, 2, 3, 4]) == 0
    assert delivered.study_state() == "removed"


def test_an_image_that_comes_again_while_its_study_is_removed_is_not_lost(delivered: Scene, tmp_path: Path) -> None:
    keeper = retention(delivered)
    delivered.side.clock.pass_seconds(8 * A_DAY)
    dataset = chest_dx(shaded_picture())
    announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)
    arriving = delivered.archive.keep(announced, encoded(dataset, tmp_path))
    keeper.remove_expired()
    assert delivered.source.exists()
    assert delivered.side.bring(arriving) == ["new"]
    delivered.archive.settle(arriving)
    keeper.remove_expired()
    assert delivered.source.exists()
    assert [path for path in files(delivered) if path.suffix == ".list"] == []


def test_a_clock_that_jumps_ahead_removes_nothing(delivered: Scene) -> None:
    keeper = retention(delivered)
    seconds = delivered.side.clock.boot_seconds()
    delivered.side.clock.pass_seconds(3650 * A_DAY)
    delivered.side.clock._seconds = seconds
    assert keeper.remove_expired() == 0
    assert len(files(delivered)) == 5


def started(scene: Scene) -> Retention:
    keeper = retention(scene)
    keeper.note_absence()
    return keeper


def skips(scene: Scene) -> int:
    with scene.side.database.reading() as session:
        return session.scalar(select(func.count()).select_from(Event).where(Event.name == "time skipped")) or 0


def test_a_start_under_a_clock_years_ahead_removes_nothing_nor_does_the_next_one(delivered: Scene) -> None:
    delivered.side.clock.jump(timedelta(days=3650))
    assert started(delivered).remove_expired() == 0
    delivered.side.clock.reboot()
    assert started(delivered).remove_expired() == 0
    delivered.side.clock.jump(-timedelta(days=3650))
    keeper = started(delivered)
    delivered.side.clock.pass_seconds(6 * A_DAY)
    assert keeper.remove_expired() == 0
    delivered.side.clock.pass_seconds(2 * A_DAY)
    assert keeper.remove_expired() == 1
    assert skips(delivered) == 1


def test_a_node_that_was_off_for_long_removes_nothing_for_as_long_as_it_keeps_studies(delivered: Scene) -> None:
    delivered.side.clock.pass_seconds(30 * A_DAY)
    keeper = started(delivered)
    delivered.side.clock.pass_seconds(6.9 * A_DAY)
    assert keeper.remove_expired() == 0
    delivered.side.clock.pass_seconds(0.2 * A_DAY)
    assert keeper.remove_expired() == 1
    assert skips(delivered) == 1


def test_a_node_that_was_off_for_a_few_days_removes_what_is_due(delivered: Scene) -> None:
    delivered.side.clock.pass_seconds(6.9 * A_DAY)
    keeper = started(delivered)
    delivered.side.clock.pass_seconds(0.2 * A_DAY)
    assert keeper.remove_expired() == 1
    assert skips(delivered) == 0


CRASH = """
import os, sys
from pathlib import Path
sys.path[:0] = [sys.argv[3]]
from clocks import ManualClock
from node.archive import Archive
from node.database import Database
from node.delivery import retention

class Dying(Archive):
    left = int(sys.argv[2])
    def remove(self, relative):
        if Dying.left == 0:
            os._exit(9)
        Dying.left -= 1
        return super().remove(relative)

root = Path(sys.argv[1])
clock = ManualClock()
keeper = retention.Retention(Database(root / "radnode.db"), Dying(root), clock, 7.0)
clock.pass_seconds(8 * 86400.0)
keeper.remove_expired()
"""


@pytest.mark.parametrize("removed_files", [0, 3])
def test_a_crash_in_the_middle_leaves_files_that_the_next_pass_removes(
    delivered: Scene, tmp_path: Path, removed_files: int
) -> None:
    tests = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-c", CRASH, str(tmp_path), str(removed_files), str(tests)]
    assert subprocess.run(command, check=False, env=os.environ, timeout=60).returncode == 9
    assert delivered.study_state() == "removed"
    assert len(files(delivered)) == 5 - removed_files + 1
    database = Database(tmp_path / "radnode.db")
    assert Retention(database, Archive(tmp_path), delivered.side.clock, 7.0).remove_expired() == 0
    assert files(delivered) == []
    database.close()


def test_a_list_whose_rows_never_changed_removes_nothing(delivered: Scene) -> None:
    with delivered.side.database.reading() as session:
        paths = [*session.scalars(select(Instance.path)), *session.scalars(select(Result.path))]
    delivered.archive.note_removal(paths)
    retention(delivered).remove_expired()
    assert len(files(delivered)) == 5
