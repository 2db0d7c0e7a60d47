"""A part: what arrives, byte for byte, in a file that is whole before it is looked at."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import ExplicitVRLittleEndian
from raw_peer import CT_CLASS, tiny_data_set

from node.archive import AnnouncedInstance
from node.archive.part import HELD_BYTES, Part
from node.errors import ArchiveFull, InstanceMismatch, MalformedInstance

UID = "1.2.34"


def announced(**facts: str) -> AnnouncedInstance:
    values = {"sop_class_uid": CT_CLASS, "sop_instance_uid": UID, "transfer_syntax_uid": ExplicitVRLittleEndian}
    return AnnouncedInstance(**(values | facts))


@pytest.fixture
def part(tmp_path: Path) -> Iterator[Part]:
    made = Part(tmp_path / "one.part", announced(), 0)
    yield made
    made.discard()


@pytest.mark.parametrize(
    ("fact", "named"), [("sop_class_uid", "Affected SOP Class UID"), ("sop_instance_uid", "Affected SOP Instance UID")]
)
def test_a_command_whose_uid_is_none_is_told_which(tmp_path: Path, fact: str, named: str) -> None:
    with pytest.raises(MalformedInstance, match=f"{named}:? "):
        Part(tmp_path / "one.part", announced(**{fact: "1.2/3"}), 0)
    assert list(tmp_path.iterdir()) == []


def test_what_is_checked_is_all_that_was_written(part: Part) -> None:
    encoded = tiny_data_set(UID.encode())
    for byte in encoded:
        part.write(bytes([byte]))
    checked = part.check()
    assert (checked.identity.sop_class_uid, checked.identity.sop_instance_uid) == (CT_CLASS, UID)
    assert part.size == len(encoded)
    assert part.sha256 == hashlib.sha256(encoded).hexdigest()
    part.close()
    assert part.path.read_bytes().endswith(encoded)
    assert part.file_bytes == part.path.stat().st_size > part.size


@pytest.mark.parametrize("end", ["sync", "close", "discard"])
def test_a_part_that_has_ended_holds_no_file_open(part: Part, end: str) -> None:
    part.write(tiny_data_set(UID.encode()))
    getattr(part, end)()
    assert part.path.exists() is (end != "discard")
    if part.path.exists():
        assert part.path.stat().st_size == part.file_bytes
    with pytest.raises(ValueError, match=r"closed file|has ended"), part.content():
        pass


def test_a_short_part_needs_no_file_before_it_is_kept(part: Part) -> None:
    part.write(tiny_data_set(UID.encode()))
    part.check()
    assert not part.path.exists()


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_part_that_outgrows_what_is_held_goes_to_its_file_whole(part: Part, beyond: int) -> None:
    with part.content() as content:
        head = bytes(content)
    data_set = bytes(range(256)) * (HELD_BYTES // 256)
    data_set = data_set[: HELD_BYTES - len(head) - 1]
    part.write(data_set)
    assert not part.path.exists()
    part.write(b"a" * (1 + beyond))
    assert part.path.exists() is bool(beyond)
    part.write(b"bc")
    with part.content() as content:
        assert bytes(content) == head + data_set + b"a" * (1 + beyond) + b"bc"
    part.close()
    assert part.path.read_bytes() == head + data_set + b"a" * (1 + beyond) + b"bc"
    assert part.sha256 == hashlib.sha256(data_set + b"a" * (1 + beyond) + b"bc").hexdigest()


def test_a_long_part_is_written_out_while_it_arrives(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every byte up to the last step once, and nothing that has not been given to the file."""
    begun: list[tuple[int, int]] = []

    def note(descriptor: int, start: int, length: int, _advice: int) -> None:
        assert os.fstat(descriptor).st_size >= start + length
        begun.append((start, start + length))

    monkeypatch.setattr(os, "posix_fadvise", note)
    part.write(bytes(HELD_BYTES))
    for _ in range(20_000):
        part.write(bytes(1001))
    assert [start for start, _ in begun] == [0, *(end for _, end in begun[:-1])]
    assert len(begun) == 2
    assert part.file_bytes - begun[-1][1] <= 8 * HELD_BYTES


def test_another_instance_than_was_announced_is_refused(tmp_path: Path) -> None:
    part = Part(tmp_path / "one.part", announced(sop_instance_uid="1.2.3.5"), 0)
    part.write(tiny_data_set(UID.encode()))
    with pytest.raises(InstanceMismatch):
        part.check()
    part.discard()


def test_a_reserve_that_is_not_there_is_seen_before_the_file_is_made(tmp_path: Path) -> None:
    with pytest.raises(ArchiveFull):
        Part(tmp_path / "one.part", announced(), 1 << 60)
    assert list(tmp_path.iterdir()) == []


def test_all_of_a_part_is_on_the_device_when_its_flush_returns(part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []

    def fsync(descriptor: int) -> None:
        flushed.append(os.fstat(descriptor).st_size)

    monkeypatch.setattr(os, "fsync", fsync)
    part.write(tiny_data_set())
    part.sync()
    assert flushed == [part.file_bytes]
