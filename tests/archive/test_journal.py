"""The journal: what came last survives the loss of power by one flush, and nothing comes back that is gone."""

from __future__ import annotations

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from waiting import PATIENCE_SECONDS, ends, until

from node.archive import AnnouncedInstance, Archive, Secured
from node.archive.journal import Journal, JournalSize
from node.archive.journal_record import PAGE, Entry, encode_record, read_records
from node.archive.part import HELD_BYTES
from node.errors import InstanceMismatch, MalformedInstance
from node.vocabulary import ReceivedInstance

EXPLICIT = "1.2.840.10008.1.2.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
SMALL = JournalSize(segment_bytes=64 * PAGE, most_segments=2, largest_file_bytes=16 * PAGE)


def data_set(uid: str, padding: int = 0) -> bytes:
    """Return a made-up instance, encoded, with so many bytes of pixels that are its own."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CT, uid
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2", "1.2.3"
    dataset.PatientComments = f"instance {uid}".rjust(60)
    dataset.add_new(0x7FE00010, "OW", uid.encode().ljust(20) + bytes(padding))
    file = DicomBytesIO()
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, dataset)
    return file.getvalue()


@contextmanager
def journaled(
    root: Path, boot_id: str = "first boot", size: JournalSize = SMALL, *, is_flushed: bool = True
) -> Iterator[tuple[Archive, Journal]]:
    """Give an archive with a journal; without `close`, as when the process is killed."""
    journal = Journal(root, boot_id, lambda: None, size, is_flushed=is_flushed)
    archive = Archive(root, durability=journal)
    yield archive, journal


def begin(archive: Archive, journal: Journal) -> dict[str, int]:
    """Start as the node does; return what the journal held."""
    held = journal.replay(archive.put_back)
    journal.start()
    return held


def keep(archive: Archive, number: int, padding: int = 0) -> ReceivedInstance:
    uid, encoded = f"1.2.3.{number}", data_set(f"1.2.3.{number}", padding)
    received = archive.keep(AnnouncedInstance(CT, uid, EXPLICIT), encoded)
    archive.settle(received)
    return received


@contextmanager
def without_shelves(root: Path) -> Iterator[None]:
    """Let no instance have its final name."""
    (root / "instances").rename(root / "away")
    yield
    (root / "away").rename(root / "instances")


def lose(path: Path, how: str) -> None:
    """Leave a file as a loss of power may leave what was not flushed."""
    match how:
        case "gone":
            path.unlink()
        case "empty":
            os.truncate(path, 0)
        case "torn":
            path.write_bytes(path.read_bytes()[:-3] + b"\0\0\0")


@pytest.mark.parametrize("how", ["gone", "empty", "torn"])
def test_what_was_answered_and_not_flushed_is_put_back_after_a_loss_of_power(
    tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        kept = [keep(archive, number) for number in range(5)]
        contents = [archive.path_of(each.path).read_bytes() for each in kept]
    for each in kept[1:]:
        lose(archive.path_of(each.path), how)
    with journaled(tmp_path, "second boot") as (archive, journal):
        held = begin(archive, journal)
        assert [archive.path_of(each.path).read_bytes() for each in kept] == contents
        assert set(held) == {each.path for each in kept}
    told = [vars(record)["fields"] for record in caplog.records if record.message == "file put back from the journal"]
    assert told == [{"path": each.path} for each in kept[1:]]


def test_the_journal_knows_which_association_brought_what(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        part = archive.begin(AnnouncedInstance(CT, "1.2.3.4", EXPLICIT))
        part.write(data_set("1.2.3.4"))
        received = archive.finish(part, association_id=77)
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert begin(archive, journal) == {received.path: 77}


def test_nothing_is_read_again_when_only_the_process_died(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        kept = keep(archive, 1)
    put_back: list[str] = []
    with journaled(tmp_path) as (archive, journal):
        assert set(journal.replay(lambda path, _: put_back.append(path))) == {kept.path}
    assert put_back == []


@pytest.mark.parametrize("is_flushed", [True, False])
def test_what_has_no_file_yet_is_put_back_although_only_the_process_died(tmp_path: Path, is_flushed: bool) -> None:
    with journaled(tmp_path, is_flushed=is_flushed) as (archive, journal):
        begin(archive, journal)
        with_file = keep(archive, 1)
        part = archive.begin(AnnouncedInstance(CT, "1.2.3.2", EXPLICIT))
        part.write(data_set("1.2.3.2"))
        without = archive.secure(part, association_id=77).received
        assert not archive.path_of(without.path).exists()
    with journaled(tmp_path, is_flushed=is_flushed) as (archive, journal):
        assert begin(archive, journal) == {with_file.path: 0, without.path: 77}
        assert archive.examine(without.path).sha256 == without.sha256


def test_one_that_cannot_have_its_file_keeps_no_segment_from_being_used_again(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        part = archive.begin(AnnouncedInstance(CT, "1.2.3.1", EXPLICIT))
        part.write(data_set("1.2.3.1"))
        with without_shelves(tmp_path), pytest.raises(FileNotFoundError):
            archive.finish(part)
        assert not list((tmp_path / "incoming").iterdir())
        journal.flush()


def test_a_copy_can_be_read_until_it_is_settled_whichever_segment_it_is_in(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        secured: list[Secured] = []
        for number in range(40):
            part = archive.begin(AnnouncedInstance(CT, f"1.2.3.{number}", EXPLICIT))
            part.write(data_set(f"1.2.3.{number}"))
            secured.append(archive.secure(part))
            archive.place(secured[-1])
        assert len(journal._full) == 1  # which waits for its rows
        for each in secured:
            assert each.read_copy is not None
            assert each.read_copy() == archive.path_of(each.received.path).read_bytes()
            archive.path_of(each.received.path).unlink()
            archive.place_copy(each)
            assert archive.examine(each.received.path) == each.received


@pytest.mark.parametrize(("is_flushed", "flushes"), [(True, 160), (False, 0)])
def test_only_what_is_to_survive_the_machine_is_flushed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_flushed: bool, flushes: int
) -> None:
    """However much comes, and also what is too large for the journal; a segment that is emptied always is."""
    flushed: list[str] = []
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, noting(getattr(os, name), flushed))
    journal = Journal(tmp_path, "first boot", lambda: flushed.append(f"{tmp_path}/rows"), SMALL, is_flushed=is_flushed)
    archive = Archive(tmp_path, durability=journal)
    begin(archive, journal)
    before = len(flushed)
    kept = [keep(archive, number, padding=9000) for number in range(160)]
    kept.append(keep(archive, 1000, padding=SMALL.largest_file_bytes))
    journal.close()
    ours = [path for path in flushed[before:] if path.startswith(f"{tmp_path}/")]  # others end their journals late
    others = [path for path in ours if not path.startswith(f"{tmp_path}/journal")]
    assert len(others) >= flushes
    assert is_flushed or not others
    with journaled(tmp_path, is_flushed=is_flushed) as (again, second):
        assert begin(again, second) == {}
        assert [again.examine(each.path).sha256 for each in kept] == [each.sha256 for each in kept]


def noting(flush: Callable[[int], None], flushed: list[str]) -> Callable[[int], None]:
    """Return what flushes a file or folder and notes its path."""

    def flush_and_note(descriptor: int) -> None:
        flushed.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        flush(descriptor)

    return flush_and_note


def test_an_instance_whose_copy_is_torn_as_well_is_not_put_back(tmp_path: Path) -> None:
    """Nobody was told of it: the copy was not on the device."""
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        whole, torn = keep(archive, 1), keep(archive, 2)
    segment = tmp_path / "journal" / "00.log"
    segment.write_bytes(segment.read_bytes().replace(data_set("1.2.3.2")[-20:], bytes(20)))
    assert data_set("1.2.3.2")[-20:] not in segment.read_bytes()
    for each in (whole, torn):
        archive.path_of(each.path).unlink()
    with journaled(tmp_path, "second boot") as (archive, journal):
        begin(archive, journal)
        assert archive.examine(whole.path).sha256 == whole.sha256
        assert not archive.path_of(torn.path).exists()
        assert not list((tmp_path / "incoming").iterdir())


def test_what_was_removed_does_not_come_back(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        kept = [keep(archive, number) for number in range(3)]
        archive.note_removal([kept[0].path])
        archive.remove(kept[0].path)
        later = keep(archive, 9)
        archive.path_of(later.path).unlink()
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert set(begin(archive, journal)) == {later.path}
        assert not archive.path_of(kept[0].path).exists()
        assert archive.path_of(later.path).exists()


def test_space_is_used_again_and_nothing_is_lost_however_much_comes(tmp_path: Path) -> None:
    """Four associations bring many times what the journal holds; its rows are flushed before any space is free."""
    synced: list[int] = []
    journal = Journal(tmp_path, "first boot", lambda: synced.append(1), SMALL)
    archive = Archive(tmp_path, durability=journal)
    begin(archive, journal)
    received: list[ReceivedInstance] = []

    def bring(first: int) -> None:
        received.extend([keep(archive, number, padding=9000) for number in range(first, first + 40)])

    threads = [threading.Thread(target=bring, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert len(received) == 160
    assert len(list((tmp_path / "journal").iterdir())) == SMALL.most_segments
    assert len(synced) >= 160 * 4 * PAGE // (SMALL.most_segments * SMALL.segment_bytes)
    with journaled(tmp_path, "second boot") as (again, second):
        begin(again, second)
        assert all(again.examine(each.path).sha256 == each.sha256 for each in received)


@pytest.fixture
def unquiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something arrives all the time."""
    monkeypatch.setattr("node.archive.journal._QUIET_SECONDS", 1e9)


EIGHT = JournalSize(segment_bytes=16 * PAGE, most_segments=8, largest_file_bytes=8 * PAGE)


def test_while_a_series_arrives_the_journal_flushes_nothing_else_as_long_as_half_of_it_is_free(
    tmp_path: Path, unquiet: None
) -> None:
    with journaled(tmp_path, size=EIGHT) as (archive, journal):
        begin(archive, journal)
        kept: list[ReceivedInstance] = []
        for number in range(4 * 7 + 1):  # a segment holds seven, of two pages each
            until(lambda: bool(journal._free))
            kept.append(keep(archive, number))
        time.sleep(0.3)  # in which one that does not wait for quiet would have settled them
        assert len(journal._full) == 4
        kept += [keep(archive, number) for number in range(len(kept), 200)]
        until(lambda: len(journal._full) <= 4)
        journal.flush()
        assert not journal._full
        later = keep(archive, len(kept))
        journal.close()
    with journaled(tmp_path, size=EIGHT) as (archive, journal):
        assert begin(archive, journal) == {}
        assert [archive.examine(each.path) for each in [*kept, later]] == [*kept, later]


def test_once_nothing_arrives_what_is_full_is_settled(tmp_path: Path) -> None:
    with journaled(tmp_path, size=EIGHT) as (archive, journal):
        begin(archive, journal)
        while not journal._full:
            keep(archive, len(journal._current.entries) if journal._current else 0)
        until(lambda: not journal._full)


def test_a_copy_stays_until_its_row_is_committed(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        received = archive.keep(AnnouncedInstance(CT, "1.2.3.4", EXPLICIT), data_set("1.2.3.4"))
        flushing = threading.Thread(target=journal.flush)
        flushing.start()
        flushing.join(0.3)
        assert flushing.is_alive()
        archive.settle(received)
        flushing.join(PATIENCE_SECONDS)
        assert not flushing.is_alive()


def test_a_journal_that_was_closed_holds_nothing(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        keep(archive, 1)
        journal.close()
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert begin(archive, journal) == {}


def test_a_large_instance_is_flushed_where_it_lies(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        large = keep(archive, 1, padding=SMALL.largest_file_bytes)
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert begin(archive, journal) == {}
        assert archive.examine(large.path).sha256 == large.sha256


def test_one_that_cannot_be_made_safe_keeps_no_segment_from_being_used_again(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal), Path("/dev/full").open("r+b", buffering=0) as failing:
        begin(archive, journal)
        keep(archive, 1)
        assert journal._current is not None
        os.dup2(failing.fileno(), journal._current._descriptor)
        part = archive.begin(AnnouncedInstance(CT, "1.2.3.2", EXPLICIT))
        part.write(data_set("1.2.3.2"))
        with without_shelves(tmp_path), pytest.raises(FileNotFoundError):
            archive.secure(part)
        assert ends(journal.flush)


def test_a_long_instance_that_is_refused_leaves_no_file(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        part = archive.begin(AnnouncedInstance(CT, "1.2.3.5", EXPLICIT))
        part.write(data_set("1.2.3.4", padding=2 * HELD_BYTES))
        assert len(list((tmp_path / "incoming").iterdir())) == 1
        with pytest.raises(InstanceMismatch):
            archive.secure(part)
        assert not list((tmp_path / "incoming").iterdir())


def test_an_instance_that_is_refused_is_not_in_the_journal(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        with pytest.raises(MalformedInstance):
            archive.keep(AnnouncedInstance(CT, "1.2.3.4", EXPLICIT), data_set("1.2.3.4")[:-1])
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert begin(archive, journal) == {}


@pytest.mark.parametrize("device", ["/dev/full", "/dev/null"])
def test_where_a_copy_cannot_be_written_or_flushed_the_file_is_flushed_itself(
    tmp_path: Path, device: str, caplog: pytest.LogCaptureFixture
) -> None:
    with journaled(tmp_path) as (archive, journal), Path(device).open("r+b", buffering=0) as failing:
        begin(archive, journal)
        first = keep(archive, 1)
        assert journal._current is not None
        os.dup2(failing.fileno(), journal._current._descriptor)
        kept = [first, keep(archive, 2), keep(archive, 3)]
        journal.flush()
        assert [archive.examine(each.path).sha256 for each in kept] == [each.sha256 for each in kept]
    assert caplog.text.count("journal not written, the file flushed itself") == 1


def test_a_copy_that_is_written_in_part_counts_for_nothing(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * PAGE + 10, limits[1]))
        try:
            kept = keep(archive, 1)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        later = keep(archive, 2)
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert set(journal.replay(archive.put_back)) == {later.path}
        assert archive.examine(kept.path).sha256 == kept.sha256


def test_an_instance_that_comes_twice_at_once_stays_until_both_have_their_rows(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        one, other = (archive.keep(AnnouncedInstance(CT, "1.2.3.4", EXPLICIT), data_set("1.2.3.4")) for _ in range(2))
        archive.settle(one)
        flushing = threading.Thread(target=journal.flush)
        flushing.start()
        flushing.join(0.3)
        assert flushing.is_alive()
        archive.settle(other)
        flushing.join(PATIENCE_SECONDS)
        assert not flushing.is_alive()


def test_a_record_that_says_more_than_its_page_holds_ends_the_reading(tmp_path: Path) -> None:
    epoch, path = bytes(range(16)), tmp_path / "segment"
    page = bytearray(encode_record(epoch, Entry("instances/00/x.dcm", 1, 10)))
    whole = bytes(page)
    page[40:42] = b"\xff\xff"  # the length of its path
    path.write_bytes(bytes(PAGE) + bytes(page) + bytes(PAGE))
    with path.open("rb") as file:
        assert list(read_records(file.fileno(), epoch)) == []
    path.write_bytes(bytes(PAGE) + whole + bytes(PAGE))
    with path.open("rb") as file:
        assert [record.entry.path for record in read_records(file.fileno(), epoch)] == ["instances/00/x.dcm"]


def test_what_cannot_be_flushed_is_tried_again_and_who_waits_for_space_is_flushed_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    faults: list[Exception] = [OSError(5, "rows not flushed"), ValueError("rows not flushed")]
    journal = Journal(tmp_path, "first boot", lambda: _raise_next(faults), JournalSize(16 * PAGE, 1, 8 * PAGE))
    archive = Archive(tmp_path, durability=journal)
    begin(archive, journal)
    kept = [keep(archive, number, padding=PAGE) for number in range(20)]
    journal.close()
    assert [archive.examine(each.path).sha256 for each in kept] == [each.sha256 for each in kept]
    assert caplog.text.count("journal not looked after, tried again") == 2
    with journaled(tmp_path, "second boot") as (again, second):
        assert begin(again, second) == {}


def _raise_next(faults: list[Exception]) -> None:
    if faults:
        raise faults.pop(0)


def test_a_node_that_ends_before_a_row_is_committed_leaves_its_instance_in_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.archive.journal._CLOSING_SECONDS", 0.1)
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        received = archive.keep(AnnouncedInstance(CT, "1.2.3.4", EXPLICIT), data_set("1.2.3.4"))
        journal.close()
    with journaled(tmp_path, "second boot") as (archive, journal):
        assert set(journal.replay(archive.put_back)) == {received.path}


def test_a_segment_whose_first_page_was_never_written_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "journal").mkdir(parents=True)
    (tmp_path / "journal" / "00.log").write_bytes(bytes(SMALL.segment_bytes))
    with journaled(tmp_path) as (archive, journal):
        assert begin(archive, journal) == {}
        assert archive.examine(keep(archive, 1).path)


def test_a_journal_that_is_full_to_its_last_page_is_read_to_its_end(tmp_path: Path) -> None:
    size = JournalSize(segment_bytes=5 * PAGE, most_segments=2, largest_file_bytes=2 * PAGE)
    with journaled(tmp_path, size=size) as (archive, journal):
        begin(archive, journal)
        kept = [keep(archive, number) for number in range(2)]
        archive_paths = {each.path for each in kept}
    with journaled(tmp_path, "second boot", size) as (archive, journal):
        assert set(journal.replay(archive.put_back)) == archive_paths


def test_a_journal_that_is_not_used_any_more_is_emptied_and_takes_no_space(tmp_path: Path) -> None:
    with journaled(tmp_path) as (archive, journal):
        begin(archive, journal)
        keep(archive, 1)
    unused = Journal(tmp_path, "first boot", lambda: None, SMALL)
    assert len(unused.replay(archive.put_back)) == 1
    unused.start(is_used=False)
    unused.close()
    fresh = Journal(tmp_path / "fresh", "first boot", lambda: None, SMALL)
    assert fresh.replay(archive.put_back) == {}
    fresh.start(is_used=False)
    fresh.close()
    assert not list((tmp_path / "fresh" / "journal").iterdir())
