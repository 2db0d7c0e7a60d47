"""An instance on its way in: a file nobody else looks at until it is whole, checked and durable."""

from __future__ import annotations

import hashlib
import mmap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset

from node import faults
from node.archive.disk import create_file, refuse_full_disk, require_space, sync_file
from node.archive.file_head import AnnouncedInstance, encode_file_head
from node.archive.header import before_pixels, build_header, prove_readable, read_study
from node.archive.identity import InstanceIdentity, check_uid, identify_instance
from node.archive.walk import Element, encoding_of, walk_dataset
from node.faults import FaultPoint
from node.vocabulary import StudyIdentity

# How much is written between two looks at the free space; a reserve is many times that.
_SPACE_STEP_BYTES = 8 << 20


@dataclass(frozen=True)
class CheckedDataSet:
    """What a data set that was walked to its end states: who it is, whose, and its header without long values."""

    identity: InstanceIdentity
    study: StudyIdentity
    header: Dataset


class Part:
    """A file of the incoming folder that takes an encoded data set, byte for byte as it arrives.

    Whoever opens a part either hands it to the archive or discards it.
    """

    def __init__(self, path: Path, announced: AnnouncedInstance, reserve_bytes: int) -> None:
        """Create the file and write its preamble and file meta (PS3.10 7.1).

        Raises ArchiveFull when less than `reserve_bytes` would stay free, MalformedInstance for an
        announced UID that is none.
        """
        check_uid("Affected SOP Class UID", announced.sop_class_uid)
        check_uid("Affected SOP Instance UID", announced.sop_instance_uid)
        head = encode_file_head(announced)
        self.announced = announced
        self.path = path
        self._reserve_bytes = reserve_bytes
        self._digest = hashlib.sha256()
        self._data_set_at = len(head)
        self.size = 0
        self._space_until = -1
        self._require_space(len(head))
        with refuse_full_disk(path.parent):
            self._file = create_file(path)
            self._file.write(head)
        faults.reach(FaultPoint.PART_OPENED)

    @property
    def sha256(self) -> str:
        """Return the SHA-256 (hex) over the data set written so far, without the file's head."""
        return self._digest.hexdigest()

    def write(self, fragment: bytes | memoryview) -> None:
        """Append bytes of the data set; raises ArchiveFull before the disk is."""
        self._require_space(len(fragment))
        with refuse_full_disk(self.path.parent):
            self._file.write(fragment)
        faults.reach(FaultPoint.PART_WRITTEN)
        self._digest.update(fragment)
        self.size += len(fragment)

    @property
    def file_bytes(self) -> int:
        """Return the size of the file, its head included."""
        return self._data_set_at + self.size

    def mapped(self) -> mmap.mmap:
        """Return the whole file, to be closed by the caller."""
        return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def check(self) -> CheckedDataSet:
        """Walk the data set to its exact end and return what it states; raises MalformedInstance."""
        with refuse_full_disk(self.path.parent):
            self._file.flush()
        with self.mapped() as encoded:
            checked = check_data_set(encoded, self._data_set_at, self.announced)
        faults.reach(FaultPoint.PART_CHECKED)
        return checked

    def sync(self) -> None:
        """Return once the whole file is on the device."""
        with refuse_full_disk(self.path.parent):
            sync_file(self._file)
            self._file.close()
        faults.reach(FaultPoint.PART_FLUSHED)

    def close(self) -> None:
        """Write no more; the system flushes when it likes."""
        with refuse_full_disk(self.path.parent):
            self._file.close()

    def discard(self) -> None:
        """Remove the file; does nothing when it has left the incoming folder."""
        with suppress(OSError):  # what a full disk did not take is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)

    def _require_space(self, needed_bytes: int) -> None:
        """Look at the free space every few megabytes, for each look is a call into the system."""
        if self.size + needed_bytes > self._space_until:
            require_space(self.path.parent, needed_bytes, self._reserve_bytes)
            self._space_until = self.size + max(needed_bytes, _SPACE_STEP_BYTES)


def check_data_set(encoded: mmap.mmap, start: int, announced: AnnouncedInstance) -> CheckedDataSet:
    """Walk an encoded data set that begins at `start` and return what it states.

    Raises MalformedInstance when it does not end where it says, InstanceMismatch when it is not what was announced.
    """
    elements = walk_dataset(encoded, announced.transfer_syntax_uid, start)
    wanted = InstanceIdentity.tags()
    identity = identify_instance(
        {element.tag: _beginning(encoded, element) for element in elements if element.tag in wanted}
    )
    identity.require(announced.sop_class_uid, announced.sop_instance_uid)
    header = build_header(encoded, encoding_of(announced.transfer_syntax_uid), elements)
    if any(element.is_open for element in before_pixels(elements)):
        prove_readable(encoded)
    return CheckedDataSet(identity, read_study(header), header)


def _beginning(encoded: mmap.mmap, element: Element) -> bytes:
    """Return as much of a value as tells whether it is a UID."""
    return encoded[element.value_at : element.value_at + min(element.length, 128)]
