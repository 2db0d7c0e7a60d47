"""Writes elements in Explicit VR Little Endian (PS3.5 7.1.2), where pydicom would be the cost of a large object."""

from __future__ import annotations

import struct
from collections.abc import Iterable

# By how their length is written (PS3.5 Tables 7.1-1 and 7.1-2): in 32 bits, in 16.
LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sxxL")
_ITEM = struct.Struct("<HHL")
_PADDING = {b"UI": b"\0"}  # PS3.5 6.2; text gets a space


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    """Return an element of a VR with a length of 16 bits, its value made even."""
    padded = value + _PADDING.get(vr, b" ") * (len(value) % 2)
    return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, len(padded)) + padded


def sequence(tag: int, *items: bytes) -> bytes:
    """Return a sequence of items that state their lengths."""
    value = sequence_value(items)
    return _LONG.pack(tag >> 16, tag & 0xFFFF, b"SQ", len(value)) + value


def sequence_value(items: Iterable[bytes]) -> bytes:
    """Return the value of such a sequence."""
    return b"".join(part for item in items for part in (_ITEM.pack(0xFFFE, 0xE000, len(item)), item))
