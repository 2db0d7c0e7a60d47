"""Files that leave the archive, and those that arrive meanwhile."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, misc_files
from pydicom import dcmread

from node.archive import AnnouncedInstance, Archive
from node.vocabulary import ReceivedInstance


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


@pytest.fixture
def ct(shared: Path) -> Path:
    return misc_files(shared, "CT_d7ed60")[0]


def keep(archive: Archive, path: Path) -> ReceivedInstance:
    meta = dcmread(path, stop_before_pixels=True).file_meta
    announced = AnnouncedInstance(
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID
    )
    return archive.keep(announced, data_set_bytes(path))


def test_a_file_that_is_not_in_the_index_yet_cannot_be_removed(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    assert not archive.remove(received.path)
    assert archive.path_of(received.path).exists()
    archive.settle(received)
    assert archive.remove(received.path)
    assert not archive.path_of(received.path).exists()


def test_a_file_that_arrives_twice_at_once_is_free_after_both(archive: Archive, ct: Path) -> None:
    first, second = keep(archive, ct), keep(archive, ct)
    archive.settle(first)
    assert not archive.remove(second.path)
    archive.settle(second)
    assert archive.remove(second.path)


def test_an_arrival_that_fails_holds_nothing(archive: Archive, ct: Path) -> None:
    received = keep(archive, ct)
    archive.settle(received)
    shelf = archive.path_of(received.path).parent
    archive.path_of(received.path).unlink()
    shelf.rmdir()
    with pytest.raises(FileNotFoundError):
        keep(archive, ct)
    assert archive.remove(received.path)


def test_what_is_gone_already_is_removed(archive: Archive) -> None:
    assert archive.remove("instances/00/absent.dcm")


def test_what_is_to_be_removed_is_still_known_after_a_crash(archive: Archive, tmp_path: Path) -> None:
    noted = archive.note_removal(["instances/00/a.dcm", "results/01/b.dcm"])
    assert Archive(tmp_path).removals() == [noted]
    assert noted.paths == ("instances/00/a.dcm", "results/01/b.dcm")
    assert stat.S_IMODE(noted.file.stat().st_mode) == 0o600


def test_a_list_that_a_crash_cut_off_counts_for_nothing(archive: Archive, tmp_path: Path) -> None:
    (tmp_path / "removal" / f"{os.urandom(4).hex()}.part").write_text("instances/00/a.d")
    assert archive.removals() == []
