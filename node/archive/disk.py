"""The few steps on disk that everything kept goes through: private, durable, never filling the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from node.errors import ArchiveFull

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT))


@contextmanager
def refuse_full_disk(folder: Path) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into ArchiveFull; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise ArchiveFull(f"{folder}: {error.strerror}; free some space, the sender will try again") from error


def require_space(folder: Path, needed_bytes: int, reserve_bytes: int) -> None:
    """Raise ArchiveFull unless `reserve_bytes` stay free after writing `needed_bytes`."""
    state = os.statvfs(folder)
    free = state.f_bavail * state.f_frsize
    if free < reserve_bytes + needed_bytes:
        raise ArchiveFull(
            f"{folder}: {free} bytes free, expected at least {reserve_bytes} of reserve and {needed_bytes} to "
            "write; free some space, the sender will try again"
        )


def make_folder(folder: Path) -> None:
    """Make a folder that only we may enter, and those above it, their names durable; what exists stays as it is."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    sync_folder(folder.parent)


def make_folders(parent: Path, names: Iterable[str]) -> None:
    """Make folders in one, as `make_folder` does, with one flush for all of their names."""
    make_folder(parent)
    missing = [parent / name for name in names if not (parent / name).is_dir()]
    for folder in missing:
        folder.mkdir(mode=0o700, exist_ok=True)
    if missing:
        sync_folder(parent)


def create_file(path: Path) -> BinaryIO:
    """Open a file that did not exist, to write and read, for our eyes only."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode=0o600)
    return os.fdopen(descriptor, "w+b")


def begin_writing(descriptor: int, start: int, end: int) -> None:
    """Have the system write these bytes of a file to the device, and wait for nothing.

    Linux begins to write what it is told that nobody needs, and keeps it until that is done (posix_fadvise(2)).
    """
    os.posix_fadvise(descriptor, start, end - start, os.POSIX_FADV_DONTNEED)


def sync_file(file: BinaryIO) -> None:
    """Return once the file's content is on the device."""
    file.flush()
    os.fsync(file.fileno())


def sync_content(path: Path) -> None:
    """Return once the content of a file that is closed already is on the device."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Return once the names in a folder are on the device."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folders(folders: Iterable[Path]) -> None:
    """Return once the names in several folders are on the device, each flushed once."""
    for folder in set(folders):
        sync_folder(folder)


def move_durably(source: Path, target: Path) -> None:
    """Rename within one file system and return once a loss of power cannot undo it."""
    source.rename(target)
    sync_folder(target.parent)
