"""The head of every kept file: preamble, prefix and file meta, made from what the sender announced (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_PREFIX = bytes(128) + b"DICM"
_GROUP = 0x0002


@dataclass(frozen=True)
class AnnouncedInstance:
    """What a C-STORE command and its presentation context say of the data set that follows."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


def encode_file_head(announced: AnnouncedInstance) -> bytes:
    """Return preamble, prefix and file meta, the same for the same instance whoever sent it and when."""
    meta = b"".join(
        (
            struct.pack("<HH2sxxL2s", _GROUP, 0x0001, b"OB", 2, b"\0\1"),  # File Meta Information Version
            _element(0x0002, b"UI", announced.sop_class_uid, b"\0"),
            _element(0x0003, b"UI", announced.sop_instance_uid, b"\0"),
            _element(0x0010, b"UI", announced.transfer_syntax_uid, b"\0"),
            _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID, b"\0"),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME, b" "),
        )
    )
    return _PREFIX + struct.pack("<HH2sHL", _GROUP, 0x0000, b"UL", 4, len(meta)) + meta


def _element(number: int, vr: bytes, value: str, padding: bytes) -> bytes:
    encoded = value.encode("ascii")
    encoded += padding * (len(encoded) % 2)
    return struct.pack("<HH2sH", _GROUP, number, vr, len(encoded)) + encoded
