"""Reads a kept file again, to find out whether it still holds what was received."""

from __future__ import annotations

import hashlib
import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_file_meta_info

from node.archive.identity import InstanceIdentity, identify_instance
from node.archive.part import AnnouncedInstance, encode_file_head
from node.archive.walk import walk_dataset
from node.errors import MalformedInstance
from node.vocabulary import study_identity

_CHUNK_BYTES = 1 << 20
# What pydicom raises on values that are not what their VR says.
_UNREADABLE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
    EOFError,
    BytesLengthException,
    struct.error,
)


@dataclass(frozen=True)
class DataSetOnDisk:
    """What a file says of its data set, and what was found: its start and size in bytes, its SHA-256 (hex)."""

    announced: AnnouncedInstance
    start: int
    size: int
    sha256: str


def hash_data_set(path: Path) -> DataSetOnDisk:
    """Read a kept instance from its first byte to its last; raises MalformedInstance if its head is not ours."""
    try:
        meta = read_file_meta_info(path)
        announced = AnnouncedInstance(
            str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID), str(meta.TransferSyntaxUID)
        )
        head = encode_file_head(announced)
    except (InvalidDicomError, AttributeError, ValueError, EOFError) as error:
        raise _not_ours() from error
    with path.open("rb") as file:
        if file.read(len(head)) != head:
            raise _not_ours()
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        return DataSetOnDisk(announced, len(head), file.tell() - len(head), digest.hexdigest())


def hash_file(path: Path) -> str:
    """Return the SHA-256 (hex) over a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def identify_again(path: Path, data_set: DataSetOnDisk) -> InstanceIdentity:
    """Walk a kept data set as when it came and return its UIDs; raises MalformedInstance."""
    syntax, tags = data_set.announced.transfer_syntax_uid, InstanceIdentity.tags()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as encoded:
        identity = identify_instance(walk_dataset(encoded, syntax, data_set.start, tags))
    identity.require(data_set.announced.sop_class_uid, data_set.announced.sop_instance_uid)
    return identity


def read_header(path: Path) -> Dataset:
    """Return the data set up to its pixel data; raises MalformedInstance where its values break pydicom.

    One such is a Specific Character Set with a zero byte, another a birth date of a VR that nobody knows; no
    later step could read the instance, nor could a node that finds it at its start.
    """
    try:
        header = dcmread(path, stop_before_pixels=True)
        study_identity(header)  # for pydicom reads a value only when it is asked for
        return header
    except (*_UNREADABLE, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk's, where pydicom's own has no number
        raise MalformedInstance(
            f"data set: its header cannot be read ({type(error).__name__}); correct it at the sender"
        ) from error


def _not_ours() -> MalformedInstance:
    return MalformedInstance("file: found another head than radnode writes, expected preamble and file meta")
