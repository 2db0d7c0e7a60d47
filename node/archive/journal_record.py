"""How the journal is written: a page that names the epoch, then records of a page and an instance's file each.

Everything begins at a page, so that no write has to read what it overwrites in part.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

PAGE = 4096
EPOCH_BYTES = 16

_SEGMENT_MAGIC, _RECORD_MAGIC = b"radjrnl1", b"radinst1"
_EPOCH = Struct(f"<8s{EPOCH_BYTES}s36s")
_RECORD = Struct(f"<8s{EPOCH_BYTES}sqQH")
_CHECKSUM = Struct("<L")


class Entry(NamedTuple):
    """A file of the archive: its path under the root, the association that brought it, and how many bytes it has."""

    path: str
    association_id: int
    length: int


class Record(NamedTuple):
    """An entry and where in the segment its file begins."""

    entry: Entry
    content_at: int


class Opening(NamedTuple):
    """What the first page of a segment says: the epoch its records must be of, and the boot that wrote it."""

    epoch: bytes
    boot_id: str


def encode_opening(opening: Opening) -> bytes:
    """Return the first page of a segment; the records of any other epoch are void from then on."""
    return _page(_EPOCH.pack(_SEGMENT_MAGIC, opening.epoch, opening.boot_id.encode("ascii")))


def decode_opening(page: bytes) -> Opening | None:
    """Return what the first page says, None when it was never written whole."""
    content = _content(page, _EPOCH.size)
    if content is None:
        return None
    magic, epoch, boot_id = _EPOCH.unpack(content)
    return Opening(epoch, boot_id.rstrip(b"\0").decode("ascii")) if magic == _SEGMENT_MAGIC else None


def encode_record(epoch: bytes, entry: Entry) -> bytes:
    """Return the page that precedes the file of an entry."""
    path = entry.path.encode("ascii")
    return _page(_RECORD.pack(_RECORD_MAGIC, epoch, entry.association_id, entry.length, len(path)) + path)


def whole_pages(length: int) -> int:
    """Return how many bytes the pages have that hold so many bytes."""
    return -(-length // PAGE) * PAGE


def read_records(descriptor: int, epoch: bytes) -> Iterator[Record]:
    """Give the records of a segment up to the first that was not written whole, or is of another epoch."""
    at, end = PAGE, os.fstat(descriptor).st_size
    while at + PAGE <= end:
        entry = _decode_record(os.pread(descriptor, PAGE, at), epoch)
        if entry is None:
            return
        yield Record(entry, at + PAGE)
        at += PAGE + whole_pages(entry.length)


def _decode_record(page: bytes, epoch: bytes) -> Entry | None:
    magic, written_in, association_id, length, path_length = _RECORD.unpack_from(page)
    if magic != _RECORD_MAGIC or written_in != epoch:
        return None
    content = _content(page, _RECORD.size + path_length)
    return None if content is None else Entry(content[_RECORD.size :].decode("ascii"), association_id, length)


def _page(content: bytes) -> bytes:
    return (content + _CHECKSUM.pack(zlib.crc32(content))).ljust(PAGE, b"\0")


def _content(page: bytes, length: int) -> bytes | None:
    """Return what a page holds, None when its checksum says that it is not what was written."""
    if len(page) < length + _CHECKSUM.size:
        return None
    content = page[:length]
    return content if _CHECKSUM.unpack_from(page, length)[0] == zlib.crc32(content) else None
