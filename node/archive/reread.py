"""Reads a kept file again, to find out whether it still holds what was received."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from node.archive.file_head import MOST_HEAD_BYTES, AnnouncedInstance, decode_file_head
from node.archive.outline import OutlineReader
from node.archive.part import CheckedDataSet, check_data_set
from node.errors import MalformedInstance

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class DataSetOnDisk:
    """What a file says of its data set, and what was found: its start and size in bytes, its SHA-256 (hex)."""

    announced: AnnouncedInstance
    start: int
    size: int
    sha256: str


class FileState(StrEnum):
    """What became of a file since it was kept."""

    WHOLE = "whole"
    CHANGED = "changed"
    MISSING = "missing"
    UNREADABLE = "unreadable"


def state_of_file(read_sha256: Callable[[], str], sha256: str) -> FileState:
    """Read a kept file from its first byte to its last, and compare its SHA-256 (hex) with that of its row."""
    try:
        found = read_sha256()
    except FileNotFoundError:
        return FileState.MISSING
    except MalformedInstance:
        return FileState.CHANGED
    except OSError:
        return FileState.UNREADABLE
    return FileState.WHOLE if found == sha256 else FileState.CHANGED


def hash_data_set(path: Path) -> DataSetOnDisk:
    """Read a kept instance from its first byte to its last; raises MalformedInstance if its head is not ours."""
    with path.open("rb") as file:
        announced, start = decode_file_head(file.read(MOST_HEAD_BYTES))
        file.seek(start)
        digest = hashlib.sha256()
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
        return DataSetOnDisk(announced, start, file.tell() - start, digest.hexdigest())


def hash_file(path: Path) -> str:
    """Return the SHA-256 (hex) over a whole file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_again(path: Path, data_set: DataSetOnDisk) -> CheckedDataSet:
    """Walk a kept data set as when it came and return what it states; raises MalformedInstance."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as encoded:
        return check_data_set(encoded, data_set.start, data_set.announced, OutlineReader(is_admitting=True))

