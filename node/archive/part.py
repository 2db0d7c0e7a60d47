"""An instance on its way in: nobody else looks at it until it is whole, checked and durable."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset

from node import faults
from node.archive.disk import begin_writing, create_file, refuse_full_disk, require_space, sync_file
from node.archive.file_head import AnnouncedInstance, encode_file_head
from node.archive.header import RawElements, header_of, read_study
from node.archive.identity import InstanceIdentity, check_uid, identify_instance
from node.archive.outline import OutlineReader
from node.archive.walk import encoding_of
from node.faults import FaultPoint
from node.plain_values import tag_of
from node.vocabulary import StudyIdentity

# How much is held in memory before it needs a file; more than a slice, little beside what a crowd of peers may cost.
HELD_BYTES = 1 << 20

# How much is written between two looks at the free space, and two calls to write it out; a reserve is many times that.
_STEP_BYTES = 8 << 20


@dataclass(frozen=True)
class CheckedDataSet:
    """What a data set that was walked to its end states: who it is, whose, and its header without long values."""

    identity: InstanceIdentity
    study: StudyIdentity
    header: Dataset


class Part:
    """Takes an encoded data set, byte for byte as it arrives: a short one in memory, a longer one in a file.

    The file is of the incoming folder. Whoever opens a part either hands it to the archive or discards it.
    """

    def __init__(
        self, path: Path, announced: AnnouncedInstance, reserve_bytes: int, outlines: OutlineReader | None = None
    ) -> None:
        """Begin with preamble and file meta (PS3.10 7.1); `path` is where the file will be.

        `outlines` knows the instances that the same peer sent before.

        Raises ArchiveFull when less than `reserve_bytes` would stay free, MalformedInstance for an
        announced UID that is none.
        """
        check_uid("Affected SOP Class UID", announced.sop_class_uid)
        check_uid("Affected SOP Instance UID", announced.sop_instance_uid)
        head = encode_file_head(announced)
        self.announced = announced
        self.path = path
        self._reserve_bytes = reserve_bytes
        self._outlines = outlines or OutlineReader(is_admitting=True)
        self._digest = hashlib.sha256()
        self._data_set_at = len(head)
        self.size = 0
        self._held: bytearray | None = bytearray(head)
        self._file: BinaryIO | None = None
        self._step_until = self._begun_bytes = 0
        self._take_step(len(head))
        faults.reach(FaultPoint.PART_OPENED)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) over the data set written so far, without the file's head."""
        return self._digest.hexdigest()

    def write(self, fragment: bytes | memoryview) -> None:
        """Append bytes of the data set; raises ArchiveFull before the disk is."""
        if self.size + len(fragment) > self._step_until:
            self._take_step(len(fragment))
        if self._held is not None and len(self._held) + len(fragment) > HELD_BYTES:
            self._write_out()
        if self._held is not None:
            self._held += fragment
        else:
            with refuse_full_disk(self.path.parent):
                self._opened().write(fragment)
        faults.reach(FaultPoint.PART_WRITTEN)
        self._digest.update(fragment)
        self.size += len(fragment)

    @property
    def file_bytes(self) -> int:
        """Return the size of the file, its head included."""
        return self._data_set_at + self.size

    @contextmanager
    def content(self) -> Iterator[memoryview | mmap.mmap]:
        """Give the bytes of the whole file."""
        if self._held is not None:
            with memoryview(self._held) as held:
                yield held
            return
        with refuse_full_disk(self.path.parent):
            self._opened().flush()
        with mmap.mmap(self._opened().fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped

    def check(self) -> CheckedDataSet:
        """Walk the data set to its exact end and return what it states; raises MalformedInstance."""
        with self.content() as encoded:
            checked = check_data_set(encoded, self._data_set_at, self.announced, self._outlines)
        faults.reach(FaultPoint.PART_CHECKED)
        return checked

    def sync(self) -> None:
        """Return once the whole file is on the device."""
        self._write_out()
        with refuse_full_disk(self.path.parent):
            sync_file(self._opened())
            self._opened().close()
        faults.reach(FaultPoint.PART_FLUSHED)

    def close(self) -> None:
        """Write no more; the system flushes the file when it likes."""
        self._write_out()
        with refuse_full_disk(self.path.parent):
            self._opened().close()

    def move(self, target: Path) -> None:
        """Give the file, which must be closed, its final name."""
        self.path.rename(target)
        self._file = None
        faults.reach(FaultPoint.INSTANCE_RENAMED)

    def discard(self) -> None:
        """Keep nothing of it; does nothing to a file that has its final name."""
        self._held = None
        if self._file is not None:
            with suppress(OSError):  # what a full disk did not take is not wanted any more
                self._file.close()
            self.path.unlink(missing_ok=True)
            self._file = None

    def _opened(self) -> BinaryIO:
        """Return the file that has taken what was held."""
        if self._file is None:
            raise ValueError(f"{self.path}: the part has ended")
        return self._file

    def _write_out(self) -> None:
        """Give what is held to a file, if there is none yet."""
        if self._held is None:
            return
        with refuse_full_disk(self.path.parent):
            self._file = create_file(self.path)
            self._file.write(self._held)
        self._held = None

    def _take_step(self, needed_bytes: int) -> None:
        """Do what is worth a call into the system only every few megabytes.

        Look at the free space, and have what is in the file by now written out while more arrives, so that little is
        left for the flush at the end to wait for.
        """
        require_space(self.path.parent, needed_bytes, self._reserve_bytes)
        self._step_until = self.size + max(needed_bytes, _STEP_BYTES)
        if self._file is not None:
            with refuse_full_disk(self.path.parent):
                self._file.flush()
            begin_writing(self._file.fileno(), self._begun_bytes, self.file_bytes)
            self._begun_bytes = self.file_bytes


def check_data_set(
    encoded: memoryview | mmap.mmap, start: int, announced: AnnouncedInstance, outlines: OutlineReader
) -> CheckedDataSet:
    """Walk an encoded data set that begins at `start` and return what it states.

    Raises MalformedInstance when it does not end where it says, InstanceMismatch when it is not what was announced.
    """
    outline = outlines.read(encoded, announced.transfer_syntax_uid, start)
    identity = identify_instance(_values_of(outline.head))
    identity.require(announced.sop_class_uid, announced.sop_instance_uid)
    header = header_of(outline.head, encoding_of(announced.transfer_syntax_uid))
    return CheckedDataSet(identity, read_study(header), header)


def _values_of(head: RawElements) -> dict[int, bytes]:
    """Return the encoded values that tell who an instance is."""
    stated = {tag: head.get(tag_of(tag)) for tag in InstanceIdentity.tags()}
    return {tag: element.value or b"" for tag, element in stated.items() if element is not None}
