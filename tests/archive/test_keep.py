"""The archive: bit for bit, durable, private, and never torn."""

from __future__ import annotations

import hashlib
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, misc_files, transfer_syntax
from pydicom import dcmread
from pydicom.dataset import Dataset
from tiny_disk import fill, tiny_disk

from node.archive import AnnouncedInstance, Archive
from node.archive.disk import require_space
from node.archive.part import HELD_BYTES
from node.errors import ArchiveError, ArchiveFull, InstanceMismatch, MalformedInstance
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, ReceivedInstance


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "archive")


@pytest.fixture
def ct(shared: Path) -> Path:
    return misc_files(shared, "CT_d7ed60")[0]


def announced(path: Path) -> AnnouncedInstance:
    meta = dcmread(path, stop_before_pixels=True).file_meta
    return AnnouncedInstance(meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, str(meta.TransferSyntaxUID))


def keep(archive: Archive, path: Path, encoded: bytes | None = None) -> ReceivedInstance:
    return archive.keep(announced(path), data_set_bytes(path) if encoded is None else encoded)


def replaced(encoded: bytes, found: bytes, by: bytes) -> bytes:
    assert len(found) == len(by)
    assert encoded.count(found) == 1
    return encoded.replace(found, by)


def files_in(archive: Archive, folder: str) -> list[Path]:
    return [path for path in archive.path_of(folder).rglob("*") if path.is_file()]


def test_every_real_instance_with_its_uids_is_kept_bit_for_bit(archive: Archive, shared: Path) -> None:
    paths = misc_files(
        shared, "MR_fe06ac", "MR_9f5605", "CT_d7ed60", "MR_072779", "CR_d06de3", "CT_84a1fc", "CT_7ad993", "CT_148f44"
    )
    for path in paths:
        received = keep(archive, path)
        kept = archive.path_of(received.path)
        assert data_set_bytes(kept) == data_set_bytes(path)
        assert transfer_syntax(kept) == transfer_syntax(path) == received.transfer_syntax_uid
        assert received.size == len(data_set_bytes(path))
        original = dcmread(path)
        assert received.header.get("PixelData") is None
        assert received.study_instance_uid == original.StudyInstanceUID == received.header.StudyInstanceUID
        assert received.sop_instance_uid == original.SOPInstanceUID


def test_the_same_instance_gives_the_same_file_wherever_it_is_kept(tmp_path: Path, ct: Path) -> None:
    first, second = Archive(tmp_path / "a"), Archive(tmp_path / "b")
    one, two = keep(first, ct), keep(second, ct)
    assert (one.path, one.sha256) == (two.path, two.sha256)
    assert first.path_of(one.path).read_bytes() == second.path_of(two.path).read_bytes()


def test_an_instance_kept_twice_lies_on_disk_once(archive: Archive, ct: Path) -> None:
    assert keep(archive, ct).path == keep(archive, ct).path
    assert len(files_in(archive, "instances")) == 1


def test_no_text_of_a_peer_is_in_a_path(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    folder, shelf, name = received.path.split("/")
    assert folder == "instances"
    assert set(shelf + name.removesuffix(".dcm")) <= set("0123456789abcdef")
    assert received.sop_instance_uid not in received.path


def test_only_we_may_read_what_is_kept(archive: Archive, ct: Path) -> None:
    path = archive.path_of(keep(archive, ct).path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_truncated_data_set_is_refused_and_leaves_nothing(archive: Archive, ct: Path) -> None:
    with pytest.raises(MalformedInstance, match="runs past its end"):
        keep(archive, ct, data_set_bytes(ct)[:-2])
    assert files_in(archive, "") == []


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_data_set_without_one_of_its_uids_is_refused(
    archive: Archive, ct: Path, tmp_path: Path, keyword: str
) -> None:
    dataset = dcmread(ct)
    del dataset[keyword]
    dataset.save_as(tmp_path / "lacking.dcm")
    with pytest.raises(InstanceMismatch, match=keyword):
        keep(archive, ct, data_set_bytes(tmp_path / "lacking.dcm"))
    assert files_in(archive, "") == []


def test_a_data_set_that_is_not_what_the_command_announced_is_refused(archive: Archive, ct: Path) -> None:
    real = announced(ct)
    for other in (
        AnnouncedInstance(real.sop_class_uid, "1.2.3", real.transfer_syntax_uid),
        AnnouncedInstance("1.2.840.10008.5.1.4.1.1.4", real.sop_instance_uid, real.transfer_syntax_uid),
    ):
        with pytest.raises(InstanceMismatch, match="as in the C-STORE command"):
            archive.keep(other, data_set_bytes(ct))


@pytest.mark.parametrize(
    "text", ["", "../../../../etc/passwd", "1.2/3", "..", ".1", "1.", "1..2", "1.2\0.3", "1.2.a", "1" * 65, "1.2\n"]
)
def test_a_uid_that_is_none_is_refused_before_anything_is_written(archive: Archive, ct: Path, text: str) -> None:
    real = announced(ct)
    with pytest.raises(MalformedInstance, match=r"^Affected SOP Instance UID: found"):
        archive.keep(AnnouncedInstance(real.sop_class_uid, text, real.transfer_syntax_uid), data_set_bytes(ct))
    assert files_in(archive, "") == []


def test_a_study_uid_with_a_path_in_it_is_refused(archive: Archive, ct: Path) -> None:
    study = dcmread(ct).StudyInstanceUID.encode()
    encoded = data_set_bytes(ct)
    assert encoded.count(study) == 1
    with pytest.raises(MalformedInstance, match="StudyInstanceUID"):
        keep(archive, ct, encoded.replace(study, b"../" * (len(study) // 3) + b"x" * (len(study) % 3)))


def test_a_message_about_a_uid_does_not_quote_it(archive: Archive, ct: Path) -> None:
    real = announced(ct)
    with pytest.raises(MalformedInstance) as refusal:
        archive.begin(AnnouncedInstance(real.sop_class_uid, "Doe^Jane", real.transfer_syntax_uid))
    assert "Doe" not in str(refusal.value)


def test_a_path_that_leads_out_of_the_archive_is_refused(archive: Archive) -> None:
    for path in ("../outside.dcm", "/etc/passwd", "instances/../../x"):
        with pytest.raises(ArchiveError, match="leads out"):
            archive.path_of(path)


def test_what_contradicts_an_earlier_instance_is_moved_and_not_lost(archive: Archive, ct: Path) -> None:
    first = keep(archive, ct)
    name = str(dcmread(ct).PatientName).encode()
    second = keep(archive, ct, replaced(data_set_bytes(ct), name, b"X" * len(name)))
    moved = archive.quarantine(second)
    assert moved.startswith("quarantine/")
    assert archive.read(moved).PatientName == "X" * len(name)
    assert archive.read(first.path).PatientName == dcmread(ct).PatientName
    assert not archive.path_of(second.path).exists()


def test_the_same_contradiction_twice_is_quarantined_once(archive: Archive, ct: Path) -> None:
    moved = archive.quarantine(keep(archive, ct))
    again = keep(archive, ct)
    assert archive.quarantine(again) == moved
    assert archive.quarantine(again) == moved  # another association was quicker
    assert len(files_in(archive, "quarantine")) == 1


def test_a_result_stored_twice_is_one_file(archive: Archive, ct: Path) -> None:
    encoded = ct.read_bytes()
    path, sha256 = archive.store_result(encoded)
    assert (path, sha256) == archive.store_result(encoded)
    assert path == f"results/{sha256[:2]}/{sha256}.dcm"
    assert archive.path_of(path).read_bytes() == encoded
    assert len(files_in(archive, "")) == 1


def test_a_header_is_read_without_pixels_and_an_instance_with(archive: Archive, ct: Path) -> None:
    path = keep(archive, ct).path
    assert "PixelData" not in archive.read(path, pixels=False)
    assert isinstance(whole := archive.read(path), Dataset)
    assert "PixelData" in whole


def test_several_are_read_in_the_order_in_which_they_are_asked_for(archive: Archive, ct: Path) -> None:
    name = str(dcmread(ct).PatientName).encode()
    paths = [keep(archive, ct).path, keep(archive, ct, replaced(data_set_bytes(ct), name, b"X" * len(name))).path]
    read = list(archive.read_all([*paths, paths[0]], pixels=False))
    assert [str(one.PatientName).encode() for one in read] == [name, b"X" * len(name), name]


def test_what_was_being_written_when_the_node_stopped_is_swept(tmp_path: Path, ct: Path) -> None:
    archive = Archive(tmp_path)
    part = archive.begin(announced(ct))
    part.write(bytes(HELD_BYTES))  # what is shorter has no file yet
    kept = keep(archive, ct)
    later = Archive(tmp_path)
    assert later.sweep_incoming() == 1
    assert later.sweep_incoming() == 0
    assert later.path_of(kept.path).exists()
    part.discard()


def test_nothing_is_kept_that_would_use_the_reserve(tmp_path: Path, ct: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    archive = Archive(tmp_path, reserve_bytes=free * 2)
    with pytest.raises(ArchiveFull, match="of reserve"):
        keep(archive, ct)
    assert files_in(archive, "") == []
    assert archive.store_result(ct.read_bytes())


def test_a_result_may_use_the_reserve_that_what_is_received_may_not(tmp_path: Path, ct: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    archive = Archive(tmp_path, reserve_bytes=free * 2)
    with pytest.raises(ArchiveFull):
        archive.begin(announced(ct))
    path, _ = archive.store_result(ct.read_bytes())
    assert archive.path_of(path).read_bytes() == ct.read_bytes()


def test_the_reserve_counts_what_is_to_be_written(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    require_space(tmp_path, 1, 0)
    with pytest.raises(ArchiveFull):
        require_space(tmp_path, free + (1 << 40), 0)


def test_a_full_disk_leaves_no_torn_file_and_recovers_by_itself(tmp_path: Path, ct: Path) -> None:
    encoded = data_set_bytes(ct)
    with tiny_disk(tmp_path / "tiny") as folder:
        archive = Archive(folder)
        ballast = fill(folder, leave_bytes=20 * 1024)
        for attempt in range(3):
            with pytest.raises(ArchiveFull):
                keep(archive, ct, encoded)
            with pytest.raises(ArchiveFull):
                archive.store_result(encoded + bytes([attempt]))
        assert files_in(archive, "") == [ballast]
        ballast.unlink()
        assert data_set_bytes(archive.path_of(keep(archive, ct).path)) == encoded


KEEP_ONE = """
import sys
from pathlib import Path
from node.archive import AnnouncedInstance, Archive
root, class_uid, instance_uid, syntax, source = sys.argv[1:]
archive = Archive(Path(root))
archive.keep(AnnouncedInstance(class_uid, instance_uid, syntax), Path(source).read_bytes())
print("ANSWERED", flush=True)
"""


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the package strace")
def test_the_file_is_flushed_then_renamed_then_its_name_is_flushed_before_anyone_hears(
    tmp_path: Path, ct: Path
) -> None:
    encoded, trace, root = tmp_path / "encoded", tmp_path / "trace", tmp_path / "archive"
    encoded.write_bytes(data_set_bytes(ct))
    Archive(root)
    real = announced(ct)
    command = [sys.executable, "-c", KEEP_ONE, root, real.sop_class_uid, real.sop_instance_uid]
    subprocess.run(
        [
            "strace",
            "-f",
            "-y",
            "-e",
            "trace=fsync,rename,write",
            "-o",
            trace,
            *command,
            real.transfer_syntax_uid,
            encoded,
        ],
        check=True,
        capture_output=True,
    )
    steps = [
        line.split(maxsplit=1)[1]
        for line in trace.read_text().splitlines()
        if "incoming" in line or "instances/" in line or "ANSWERED" in line
    ]
    kinds = [step.split("(")[0] for step in steps]
    first_sync = kinds.index("fsync")
    assert set(kinds[:first_sync]) == {"write"}
    assert kinds[first_sync:] == ["fsync", "rename", "fsync", "write"]
    assert ".part>" in steps[first_sync]
    assert ".dcm" not in steps[first_sync + 2]
    assert "instances/" in steps[first_sync + 2]
    assert "ANSWERED" in steps[-1]


def test_a_kept_instance_is_examined_to_what_was_received(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    examined = archive.examine(received.path)
    assert vars(examined) | {"header": None} == vars(received) | {"header": None}
    assert examined.header.PatientID == received.header.PatientID


def test_a_file_that_changed_or_lies_elsewhere_is_not_what_was_kept(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    path = archive.path_of(received.path)
    path.with_name("elsewhere.dcm").write_bytes(path.read_bytes())
    with pytest.raises(MalformedInstance, match="found other content, expected what the name was made from"):
        archive.examine(f"{Path(received.path).parent}/elsewhere.dcm")
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    with pytest.raises(MalformedInstance, match="found other content"):
        archive.examine(received.path)


def test_the_name_of_a_file_is_made_from_content_and_transfer_syntax_alone(archive: Archive, ct: Path) -> None:
    encoded, real = data_set_bytes(ct), announced(ct)
    received = keep(archive, ct)
    assert received.sha256 == hashlib.sha256(encoded).hexdigest()
    name = hashlib.sha256(f"{received.sha256} {real.transfer_syntax_uid}".encode()).hexdigest()
    assert received.path == f"instances/{name[:2]}/{name}.dcm"


def test_the_shelves_show_every_instance_and_every_result(archive: Archive, ct: Path) -> None:
    kept, (result, _) = keep(archive, ct).path, archive.store_result(b"x")
    shelves = dict(archive.shelves())
    assert len(shelves) == 512
    assert {shelf: files for shelf, files in shelves.items() if files} == {
        kept.rpartition("/")[0]: {kept},
        result.rpartition("/")[0]: {result},
    }


def test_an_archive_without_its_folders_gets_them_and_only_we_may_enter(tmp_path: Path) -> None:
    Archive(tmp_path / "archive")
    folders = {path for path in (tmp_path / "archive").rglob("*") if path.is_dir()}
    assert len(folders) == 5 + 2 * 256
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {0o700}
    assert {path.name for path in (tmp_path / "archive").iterdir()} == {
        "incoming", "instances", "results", "quarantine", "removal",
    }  # fmt: skip


def test_a_file_that_is_gone_cannot_be_put_into_quarantine_unseen(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    archive.discard(received)
    archive.discard(received)
    with pytest.raises(FileNotFoundError):
        archive.quarantine(received)


def test_an_instance_that_is_thrown_away_leaves_the_disk(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    archive.discard(received)
    assert files_in(archive, "") == []


def test_a_data_set_that_fails_on_its_way_in_leaves_no_part(archive: Archive, ct: Path) -> None:
    part = archive.begin(announced(ct))
    archive.path_of("instances").rename(archive.path_of("away"))
    part.write(data_set_bytes(ct))
    with pytest.raises(FileNotFoundError):
        archive.finish(part)
    assert files_in(archive, "incoming") == []
    part.discard()  # and again, by whoever opened it


def test_the_archive_asks_for_no_reserve_unless_it_is_told(tmp_path: Path, ct: Path) -> None:
    assert Archive(tmp_path)._reserve_bytes == 0
    free = shutil.disk_usage(tmp_path).free
    part = Archive(tmp_path, reserve_bytes=1).begin(announced(ct))
    part._reserve_bytes = free * 2  # as if others had filled the disk meanwhile
    part.write(b"x")
    with pytest.raises(ArchiveFull, match="of reserve"):
        part.write(bytes(8 << 20))  # so much that it is looked at again
    part.discard()


def test_the_head_of_a_file_says_what_was_announced_and_who_wrote_it(archive: Archive, ct: Path) -> None:
    path = archive.path_of(keep(archive, ct).path)
    meta, real = dcmread(path, stop_before_pixels=True).file_meta, announced(ct)
    assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert meta.MediaStorageSOPClassUID == real.sop_class_uid
    assert meta.MediaStorageSOPInstanceUID == real.sop_instance_uid
    assert meta.TransferSyntaxUID == real.transfer_syntax_uid
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
