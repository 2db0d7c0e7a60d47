"""An instance on its way in: a file nobody else looks at until it is whole, checked and durable."""

from __future__ import annotations

import hashlib
import mmap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID

from node import faults
from node.archive.disk import create_file, refuse_full_disk, require_space, sync_file
from node.archive.identity import InstanceIdentity, check_uid, identify_instance
from node.archive.walk import walk_dataset
from node.faults import FaultPoint
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


@dataclass(frozen=True)
class AnnouncedInstance:
    """What a C-STORE command and its presentation context say of the data set that follows."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


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
        require_space(path.parent, len(head), reserve_bytes)
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
        require_space(self.path.parent, len(fragment), self._reserve_bytes)
        with refuse_full_disk(self.path.parent):
            self._file.write(fragment)
        faults.reach(FaultPoint.PART_WRITTEN)
        self._digest.update(fragment)
        self.size += len(fragment)

    def check(self) -> InstanceIdentity:
        """Walk the data set to its exact end and return its UIDs; raises MalformedInstance."""
        with refuse_full_disk(self.path.parent):
            self._file.flush()
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as encoded:
            uids = walk_dataset(encoded, self.announced.transfer_syntax_uid, self._data_set_at, InstanceIdentity.tags())
        identity = identify_instance(uids)
        identity.require(self.announced.sop_class_uid, self.announced.sop_instance_uid)
        faults.reach(FaultPoint.PART_CHECKED)
        return identity

    def sync(self) -> None:
        """Return once the whole file is on the device."""
        with refuse_full_disk(self.path.parent):
            sync_file(self._file)
            self._file.close()
        faults.reach(FaultPoint.PART_FLUSHED)

    def discard(self) -> None:
        """Remove the file; does nothing when it has left the incoming folder."""
        with suppress(OSError):  # what a full disk did not take is not wanted any more
            self._file.close()
        self.path.unlink(missing_ok=True)


def encode_file_head(announced: AnnouncedInstance) -> bytes:
    """Return preamble, prefix and file meta, the same for the same instance whoever sent it and when."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(announced.sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(announced.sop_instance_uid)
    meta.TransferSyntaxUID = UID(announced.transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    encoded = DicomBytesIO()
    write_file_meta_info(encoded, meta)
    return bytes(128) + b"DICM" + encoded.getvalue()
