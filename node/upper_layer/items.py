"""Items of an association request and its answer (PS3.8 9.3.2, 9.3.3, PS3.7 D.3.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from node.errors import ProtocolViolation
from node.upper_layer.pdu import MAXIMUM_PDU_BYTES, AbortReason, PduType, encode_pdu
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
PROTOCOL_VERSION = 1
FIXED_PART = struct.Struct(">HH16s16s32x")  # version, then called and calling AE title
CONTEXT = struct.Struct(">BxBx")  # its number, and in an answer its result

_ITEM = struct.Struct(">BxH")
_LENGTH_OF_UID = struct.Struct(">H")
# A PDU that holds no more than a PDV's header carries nothing.
_SHORTEST_PDU_BYTES = 8


class ItemType(IntEnum):
    """The items that are read or written here."""

    APPLICATION_CONTEXT = 0x10
    CONTEXT_PROPOSED = 0x20
    CONTEXT_ANSWERED = 0x21
    ABSTRACT_SYNTAX = 0x30
    TRANSFER_SYNTAX = 0x40
    USER_INFORMATION = 0x50
    MAXIMUM_LENGTH = 0x51
    IMPLEMENTATION_CLASS = 0x52
    ROLES = 0x54
    IMPLEMENTATION_VERSION = 0x55


class ContextResult(IntEnum):
    """What becomes of a presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True)
class ProposedContext:
    """A presentation context as the requestor wants it: one SOP class in any of several transfer syntaxes."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class Roles(NamedTuple):
    """Which roles of a SOP class the requestor wants to have itself (PS3.7 D.3.3.4)."""

    is_scu: bool
    is_scp: bool


def encode_item(kind: ItemType, value: bytes | str) -> bytes:
    """Return an item; text is a name."""
    encoded = value.encode("ascii") if isinstance(value, str) else value
    return _ITEM.pack(kind, len(encoded)) + encoded


def encode_negotiation(
    kind: PduType, titles: tuple[bytes, bytes], contexts: Iterable[bytes], roles: Mapping[str, Roles]
) -> bytes:
    """Return an A-ASSOCIATE-RQ or -AC of called and calling AE title, items of contexts, roles by SOP class, and us."""
    user_information = (
        encode_item(ItemType.MAXIMUM_LENGTH, struct.pack(">I", MAXIMUM_PDU_BYTES)),
        encode_item(ItemType.IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID),
        *(_encode_roles(sop_class, both) for sop_class, both in roles.items()),
        encode_item(ItemType.IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME),
    )
    items = (
        encode_item(ItemType.APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME),
        *contexts,
        encode_item(ItemType.USER_INFORMATION, b"".join(user_information)),
    )
    return encode_pdu(kind, FIXED_PART.pack(PROTOCOL_VERSION, 0, *titles) + b"".join(items))


def decode_items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    """Give the kind and the value of each item; raises ProtocolViolation for one that does not end within them."""
    at = 0
    while at < len(encoded):
        if at + _ITEM.size > len(encoded):
            raise item_violation("item whose header runs past the end")
        kind, length = _ITEM.unpack_from(encoded, at)
        at += _ITEM.size
        if at + length > len(encoded):
            raise item_violation("item that runs past the end")
        yield kind, encoded[at : at + length]
        at += length


def decode_roles(value: bytes) -> tuple[str, Roles]:
    """Return one role selection: a SOP class by its UID and its length, then both roles; raises ProtocolViolation."""
    length = _LENGTH_OF_UID.unpack_from(value)[0] if len(value) >= _LENGTH_OF_UID.size else 0
    if len(value) != _LENGTH_OF_UID.size + length + 2:
        raise item_violation("role selection that its item does not hold")
    return decode_name(value[_LENGTH_OF_UID.size : -2]), Roles(value[-2] == 1, value[-1] == 1)


def decode_name(value: bytes) -> str:
    """Return a UID as it stands: one that is none is simply not among those we know."""
    return value.rstrip(b"\0 ").decode("latin-1")


def decode_longest_pdu(user_information: bytes) -> int:
    """Return the maximum length that the other side receives, 0 where it states none; raises ProtocolViolation."""
    stated = [found for kind, found in decode_items(user_information) if kind == ItemType.MAXIMUM_LENGTH]
    if not stated:
        return 0
    longest = int.from_bytes(stated[0], "big")
    if len(stated[0]) != 4 or 0 < longest < _SHORTEST_PDU_BYTES:
        raise item_violation("a maximum PDU length that nothing fits in")
    return longest


def item_violation(found: str) -> ProtocolViolation:
    """Return the error for a request or an answer that contradicts itself."""
    return ProtocolViolation(f"association negotiation: {found}", AbortReason.INVALID_PARAMETER)


def _encode_roles(sop_class: str, roles: Roles) -> bytes:
    """Return a role selection (PS3.7 D.3.3.4.1)."""
    return encode_item(ItemType.ROLES, _LENGTH_OF_UID.pack(len(sop_class)) + sop_class.encode("ascii") + bytes(roles))
