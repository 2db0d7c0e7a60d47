"""Intake: file and row may follow the answer, in that order, and whatever happens in between nothing is lost."""

from __future__ import annotations

import gc
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from clocks import ManualClock
from delivery.parcels import encoded
from keeping import chest
from pydicom.dataset import Dataset
from sqlalchemy import select
from waiting import ends

from node.archive import AnnouncedInstance, Archive, Part
from node.archive.journal import Journal, JournalSize
from node.archive.part import HELD_BYTES
from node.database import Database, Event, EventName, Instance, Study
from node.errors import DatabaseBusy, InstanceConflict, MalformedInstance
from node.states import StudyState
from node.studies import intake as intakes
from node.studies.admission import admit_instance
from node.studies.claims import Claims
from node.studies.index import InstanceIndex
from node.studies.intake import LONGEST_SECONDS, MOST_FOLLOWING, Admissions, Intake
from node.studies.reconciliation import Reconciliation

BUSY_SECONDS = 0.2


@dataclass
class Desk:
    """A node's archive with a journal, its index, and the intakes of both."""

    folder: Path
    clock: ManualClock = field(default_factory=ManualClock)
    is_journaled: bool = True

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.database = Database(self.folder / "radnode.db", BUSY_SECONDS)
        self.database.migrate()
        self.journal = Journal(self.folder, self.clock.boot_id, self.database.sync, JournalSize.of(8))
        self.archive = Archive(self.folder, durability=self.journal if self.is_journaled else None)
        self.index = InstanceIndex(self.database, self.clock, flushes_instances=not self.is_journaled)
        self.admissions = Admissions(self.archive, self.index, self.clock.boot_seconds)
        arrivals = self.journal.replay(self.archive.put_back)
        Reconciliation(self.database, self.archive, self.index, self.clock).run(arrivals)
        self.journal.start(is_used=self.is_journaled)

    def open(self, calling: str = "XRAY", warm_up: Dataset | None = None) -> Intake:
        """Open an association and its intake; one that has brought an instance may be answered before the rows."""
        key = self.index.open_association(calling, "127.0.0.1", "RADNODE")
        intake = self.admissions.open(key)
        if warm_up is not None:
            self.bring(intake, warm_up)
        return intake

    def part(self, dataset: Dataset) -> Part:
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        part = self.archive.begin(AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, syntax))
        part.write(encoded(dataset, self.folder))
        return part

    def take(self, intake: Intake, dataset: Dataset) -> None:
        intake.take(self.part(dataset))

    def bring(self, intake: Intake, *datasets: Dataset) -> None:
        for dataset in datasets:
            self.take(intake, dataset)
            intake.place()

    def rows(self) -> dict[str, str]:
        """Return who sent each instance of the index, by its UID."""
        with self.database.reading() as session:
            rows = session.scalars(select(Instance))
            return {row.sop_instance_uid: row.association.calling_ae_title for row in rows}

    def files(self, folder: str = "instances") -> int:
        return sum(path.is_file() for path in (self.folder / folder).rglob("*"))

    def events(self, name: EventName) -> int:
        with self.database.reading() as session:
            return len(session.scalars(select(Event.id).where(Event.name == str(name))).all())

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the database, as another process may."""
        with sqlite3.connect(self.database.path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            yield
            other.execute("ROLLBACK")

    def next_life(self) -> Desk:
        """Return the node that is started after this one was killed."""
        return Desk(self.folder, self.clock)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "data")


def uids(*datasets: Dataset) -> set[str]:
    return {str(dataset.SOPInstanceUID) for dataset in datasets}


def of_the_same_series(uid: str, **facts: str) -> Dataset:
    other = chest(1)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = uid
    other.update(facts)
    return other


def contradiction(dataset: Dataset, number: int) -> Dataset:
    other = chest(number)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    other.StudyDescription = "another"
    return other


def test_the_first_instance_of_an_association_has_its_row_before_its_answer(desk: Desk) -> None:
    """Otherwise a loss of power could take the row of the association, and nobody would know who sent it."""
    desk.take(desk.open(), chest(1))
    assert (desk.rows(), desk.files()) == ({str(chest(1).SOPInstanceUID): "XRAY"}, 1)


def test_file_and_then_row_of_the_next_ones_follow(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    desk.take(intake, chest(2))
    assert (len(desk.rows()), desk.files(), intake.is_following) == (1, 1, False)
    intake.place()
    assert (len(desk.rows()), desk.files(), intake.is_following) == (1, 2, True)
    desk.bring(intake, chest(3), of_the_same_series("1.2.3"))
    intake.settle()
    assert set(desk.rows()) == {*uids(chest(1), chest(2), chest(3)), "1.2.3"}
    assert not intake.is_following
    desk.bring(intake, of_the_same_series("1.2.3"))
    assert desk.events(EventName.INSTANCE_REPEATED) == 1
    assert desk.files("incoming") == 0
    desk.journal.close()  # which waits for the rows of all that the journal holds


def test_the_end_of_an_association_leaves_nothing_behind(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, chest(2))
    desk.take(intake, chest(3))  # and the connection is lost while it is answered for
    intake.close()
    assert set(desk.rows()) == uids(chest(1), chest(2), chest(3))
    assert desk.files() == 3
    desk.admissions.settle()


@pytest.mark.parametrize("is_placed", [False, True])
@pytest.mark.parametrize("is_new_boot", [False, True])
def test_a_node_that_dies_in_between_makes_both_when_it_starts(
    desk: Desk, *, is_placed: bool, is_new_boot: bool
) -> None:
    intake = desk.open("CT_3", warm_up=chest(1))
    desk.take(intake, chest(2))
    if is_placed:
        intake.place()
    if is_new_boot:
        desk.clock.reboot()
    after = desk.next_life()
    assert after.rows() == dict.fromkeys(uids(chest(1), chest(2)), "CT_3")
    assert after.files() == 2


def test_without_a_journal_nothing_follows(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "data", is_journaled=False)
    intake = desk.open(warm_up=chest(1))
    desk.take(intake, chest(2))
    assert (len(desk.rows()), desk.files(), intake.is_following) == (2, 2, False)


def test_a_contradiction_is_refused_although_others_follow(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    with pytest.raises(InstanceConflict):
        desk.take(intake, contradiction(chest(1), 2))
    assert (desk.files("quarantine"), desk.files("incoming"), desk.files()) == (1, 0, 1)
    desk.bring(intake, chest(3))
    intake.close()
    assert len(desk.rows()) == 2


def test_what_cannot_be_kept_is_gone_and_its_uid_free(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    part = desk.part(chest(2))
    part.write(b"\x10\x00")
    with pytest.raises(MalformedInstance):
        intake.take(part)
    intake.place()
    assert (desk.files("incoming"), desk.files()) == (0, 1)
    desk.bring(intake, chest(2))
    intake.close()
    assert len(desk.rows()) == 2


def test_what_cannot_be_looked_up_is_gone_and_its_uid_free(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    large = desk.part(chest(2))
    large.write(bytes(HELD_BYTES))  # so that it is a file by now
    with desk.database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE results RENAME TO elsewhere")
    with pytest.raises(sqlite3.OperationalError):
        intake.take(large)
    assert desk.files("incoming") == 0
    with desk.database.writing() as session:
        session.connection().exec_driver_sql("ALTER TABLE elsewhere RENAME TO results")
    desk.bring(intake, chest(2))
    intake.close()
    assert len(desk.rows()) == 2


@pytest.mark.parametrize("is_same_association", [True, False])
def test_what_comes_again_before_its_row_is_compared_with_it(desk: Desk, *, is_same_association: bool) -> None:
    first = desk.open(warm_up=chest(1))
    second = first if is_same_association else desk.open(warm_up=chest(2))
    desk.bring(first, chest(3))
    with pytest.raises(InstanceConflict):
        desk.take(second, contradiction(chest(3), 4))
    desk.bring(second, chest(3))
    assert desk.events(EventName.INSTANCE_REPEATED) == 1
    assert desk.files() == len(desk.rows()) == (2 if is_same_association else 3)


def test_what_comes_again_while_it_is_answered_for_waits(desk: Desk) -> None:
    first, second = desk.open(warm_up=chest(1)), desk.open(warm_up=chest(2))
    desk.take(first, chest(3))
    refusals: list[Exception] = []

    def contradict() -> None:
        try:
            desk.take(second, contradiction(chest(3), 4))
        except InstanceConflict as error:
            refusals.append(error)

    other = threading.Thread(target=contradict, daemon=True)
    other.start()
    other.join(0.2)
    assert other.is_alive()
    first.place()
    other.join(20)
    assert len(refusals) == 1
    assert chest(3).SOPInstanceUID in desk.rows()


def test_what_others_settle_at_once_is_free_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when they do so between its being placed and its being left for later."""
    intake = desk.open(warm_up=chest(1))
    postpone = Claims.postpone

    def postpone_late(self: Claims, uid: str, hurry: Callable[[], None]) -> None:
        other = threading.Thread(target=desk.admissions.settle, daemon=True)
        other.start()
        other.join(0.2)
        postpone(self, uid, hurry)

    monkeypatch.setattr(Claims, "postpone", postpone_late)
    desk.bring(intake, chest(2))
    desk.admissions.settle()
    again = threading.Thread(target=desk.bring, args=(intake, chest(2)), daemon=True)
    again.start()
    again.join(20)
    assert not again.is_alive()
    assert desk.events(EventName.INSTANCE_REPEATED) == 1


def test_a_row_that_needs_a_decision_follows_too(desk: Desk) -> None:
    """It holds its study, for it states another patient, and that can be said after the answer."""
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, of_the_same_series("1.2.3", PatientID="OTHER"), chest(2))
    intake.settle()
    with desk.database.reading() as session:
        assert [study.state for study in session.scalars(select(Study).order_by(Study.id))] == [
            StudyState.HELD,
            StudyState.RECEIVING,
        ]


def test_rows_are_made_when_so_many_follow_or_so_much(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    intake = desk.open(warm_up=chest(0))
    for number in range(1, MOST_FOLLOWING + 1):
        assert not intake.is_full
        desk.bring(intake, chest(number))
    assert intake.is_full
    intake.settle()
    assert not intake.is_full
    desk.bring(intake, chest(MOST_FOLLOWING + 1))
    monkeypatch.setattr(intakes, "MOST_FOLLOWING_BYTES", 100)
    assert intake.is_full


def test_rows_that_wait_for_long_are_made_by_others(desk: Desk) -> None:
    """As when the peer stops amid the next instance."""
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, chest(2))
    desk.clock.pass_seconds(0.9 * LONGEST_SECONDS)
    desk.bring(intake, chest(3))
    desk.admissions.settle_late()
    assert len(desk.rows()) == 1
    desk.clock.pass_seconds(0.2 * LONGEST_SECONDS)
    desk.admissions.settle_late()
    assert len(desk.rows()) == 3
    desk.bring(intake, chest(4))
    desk.admissions.settle_late()
    assert len(desk.rows()) == 3
    desk.admissions.settle()
    assert len(desk.rows()) == 4


def test_an_intake_that_was_closed_is_forgotten(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    closed = weakref.ref(intake)
    intake.close()
    del intake
    gc.collect()
    assert closed() is None


def test_while_rows_cannot_be_made_what_was_answered_for_waits_and_nothing_more_is_answered(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, chest(2), chest(3))
    with desk.held():
        intake.settle()
        with pytest.raises(DatabaseBusy):
            desk.take(intake, chest(4))
        with pytest.raises(DatabaseBusy, match="waits for its row"):
            desk.take(intake, chest(2))
        with pytest.raises(DatabaseBusy):
            desk.admissions.settle()
        with pytest.raises(DatabaseBusy):
            desk.admissions.settle_late()
    assert len(desk.rows()) == 1
    desk.admissions.settle_late()
    assert set(desk.rows()) == uids(chest(1), chest(2), chest(3))
    desk.admissions.settle()
    desk.take(intake, chest(4))
    assert len(desk.rows()) == 3  # rows follow again
    desk.bring(intake, chest(2))  # which nobody waits for any more
    intake.close()
    assert (len(desk.rows()), desk.files(), desk.files("incoming")) == (4, 4, 0)
    assert ends(desk.journal.flush)  # nothing in it waits for its row
    (told,) = [record for record in caplog.records if "instances wait for their files or rows\n" in record.message]
    assert (told.name, vars(told)["fields"]) == ("radnode.intake", {"association": 1, "instances": 2})


def test_what_waits_for_its_row_when_the_node_ends_gets_it_when_it_starts(desk: Desk) -> None:
    intake = desk.open("CT_3", warm_up=chest(1))
    desk.bring(intake, chest(2))
    with desk.held():
        intake.close()
    assert desk.next_life().rows() == dict.fromkeys(uids(chest(1), chest(2)), "CT_3")


def test_a_file_that_cannot_be_written_is_made_from_its_copy(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    intake = desk.open(warm_up=chest(1))
    part = desk.part(chest(2))
    part.path.touch()  # where the file was to be
    intake.take(part)
    intake.place()
    assert desk.files() == 2
    assert "instance placed from its copy\n" in caplog.text
    intake.close()
    assert len(desk.rows()) == 2
    assert ends(desk.journal.flush)  # nothing in it waits for its row


def test_a_file_that_cannot_be_made_at_all_waits_in_the_journal(desk: Desk) -> None:
    intake = desk.open(warm_up=chest(1))
    desk.take(intake, chest(2))
    (desk.folder / "instances").rename(desk.folder / "elsewhere")
    intake.place()
    intake.settle()
    with pytest.raises(FileNotFoundError):
        desk.admissions.settle_late()
    (desk.folder / "elsewhere").rename(desk.folder / "instances")
    assert len(desk.rows()) == 1
    desk.admissions.settle_late()
    assert (set(desk.rows()), desk.files()) == (uids(chest(1), chest(2)), 2)


def test_a_row_that_fails_costs_the_others_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    spoilt, other = of_the_same_series("1.2.3"), of_the_same_series("1.2.4")
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, spoilt, other)
    with desk.database.writing() as session:
        condition = "NEW.sop_instance_uid = '1.2.3' BEGIN SELECT RAISE(ABORT, 'spoilt'); END"
        session.connection().exec_driver_sql(f"CREATE TRIGGER spoilt BEFORE INSERT ON instances WHEN {condition}")
    intake.settle()
    assert set(desk.rows()) == uids(chest(1), other)
    assert "rows made one by one\n" in caplog.text
    with pytest.raises(sqlite3.IntegrityError, match="spoilt"):
        desk.admissions.settle_late()
    with desk.database.writing() as session:
        session.connection().exec_driver_sql("DROP TRIGGER spoilt")
    desk.admissions.settle_late()
    assert set(desk.rows()) == uids(chest(1), spoilt, other)


def test_one_that_contradicts_what_came_past_the_intake_is_put_aside(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    intake = desk.open(warm_up=chest(1))
    desk.bring(intake, chest(2))
    key = desk.index.open_association("OTHER", "127.0.0.1", "RADNODE")
    admit_instance(desk.archive, desk.index, desk.archive.finish(desk.part(contradiction(chest(2), 3)), key), key)
    intake.settle()
    assert desk.rows()[str(chest(2).SOPInstanceUID)] == "OTHER"
    assert desk.files("quarantine") == 1
    assert "instance answered for contradicts another\n" in caplog.text
    desk.admissions.settle()


def test_a_file_that_cannot_be_made_before_the_answer_is_refused_and_may_come_again(desk: Desk) -> None:
    intake = desk.open()
    (desk.folder / "instances").rename(desk.folder / "elsewhere")
    with pytest.raises(FileNotFoundError):
        desk.take(intake, chest(1))
    assert desk.files("incoming") == 0
    (desk.folder / "elsewhere").rename(desk.folder / "instances")
    desk.take(intake, chest(1))
    assert set(desk.rows()) == uids(chest(1))
    desk.journal.close()  # nothing waits for a row that is not going to be
