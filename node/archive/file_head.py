"""The head of every kept file: preamble, prefix and file meta, made from what the sender announced (PS3.10 7.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from node.errors import MalformedInstance
from node.explicit_vr import element
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

MOST_HEAD_BYTES = 1024  # three UIDs and what is always the same are far less

_PREFIX = bytes(128) + b"DICM"
_HEADER = struct.Struct("<HH2sH")
_UIDS_AT = len(_PREFIX) + 12 + 14  # behind the group's length and the version


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
            struct.pack("<HH2sxxL2s", 0x0002, 0x0001, b"OB", 2, b"\0\1"),  # File Meta Information Version
            element(0x00020002, b"UI", announced.sop_class_uid.encode("ascii")),
            element(0x00020003, b"UI", announced.sop_instance_uid.encode("ascii")),
            element(0x00020010, b"UI", announced.transfer_syntax_uid.encode("ascii")),
            element(0x00020012, b"UI", IMPLEMENTATION_CLASS_UID.encode("ascii")),
            element(0x00020013, b"SH", IMPLEMENTATION_VERSION_NAME.encode("ascii")),
        )
    )
    return _PREFIX + element(0x00020000, b"UL", struct.pack("<L", len(meta))) + meta


def decode_file_head(encoded: bytes) -> tuple[AnnouncedInstance, int]:
    """Return what a file's head states, and where its data set begins; raises MalformedInstance for another's head."""
    at, uids = _UIDS_AT, []
    try:
        for _ in range(3):
            length = _HEADER.unpack_from(encoded, at)[3]
            at += _HEADER.size + length
            uids.append(encoded[at - length : at].rstrip(b"\0").decode("ascii"))
        announced = AnnouncedInstance(*uids)
        head = encode_file_head(announced)
    except (struct.error, UnicodeDecodeError):
        head = b""
    if not head or not encoded.startswith(head):
        raise MalformedInstance("file: found another head than radnode writes, expected preamble and file meta")
    return announced, len(head)
