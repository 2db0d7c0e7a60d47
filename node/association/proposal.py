"""What a peer proposes in its A-ASSOCIATE-RQ (PS3.8 9.3.2), read without trusting a single length."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from node.association.pdu import AbortReason
from node.errors import ProtocolViolation

_FIXED = struct.Struct(">HH16s16s32x")
_ITEM = struct.Struct(">BxH")
_CONTEXT = struct.Struct(">Bxxx")
_ROLES = struct.Struct(">H")
_MOST_CONTEXTS = 128
# A PDU that holds no more than a PDV's header carries nothing.
_SHORTEST_PDU_BYTES = 8



class ItemType(IntEnum):
    """Items of an association request and its answer (PS3.8 9.3.2, 9.3.3, PS3.7 D.3.3)."""

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


@dataclass(frozen=True)
class ProposedContext:
    """A presentation context as the peer wants it: one SOP class in any of several transfer syntaxes."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


class Roles(NamedTuple):
    """Which roles of a SOP class a peer wants to have itself (PS3.7 D.3.3.4)."""

    is_scu: bool
    is_scp: bool


@dataclass(frozen=True)
class Proposal:
    """An association request.

    `titles` are both AE titles as sent, for they go back as they are; `longest_pdu_bytes` is the longest
    PDU the peer takes, 0 for any. `roles` has the SOP classes of which the peer proposes any.
    """

    protocol_version: int
    calling_ae_title: str
    called_ae_title: str
    titles: bytes
    application_context: str
    contexts: tuple[ProposedContext, ...]
    longest_pdu_bytes: int
    roles: Mapping[str, Roles]


def decode_proposal(body: bytes) -> Proposal:
    """Read the body of an A-ASSOCIATE-RQ; raises ProtocolViolation for one that contradicts itself.

    Items of a kind that is unknown or not negotiated are passed over (PS3.8 9.3.1, PS3.7 D.3.3).
    """
    if len(body) < _FIXED.size:
        raise _violation("shorter than its fixed part")
    version, _, called, calling = _FIXED.unpack_from(body)
    application_context = ""
    contexts: list[ProposedContext] = []
    longest_pdu_bytes = 0
    roles: dict[str, Roles] = {}
    for kind, value in _items(body[_FIXED.size :]):
        if kind == ItemType.APPLICATION_CONTEXT:
            application_context = _name(value)
        elif kind == ItemType.CONTEXT_PROPOSED:
            contexts.append(_context(value))
        elif kind == ItemType.USER_INFORMATION:
            longest_pdu_bytes = _longest_pdu(value)
            roles = dict(_roles(found) for kind, found in _items(value) if kind == ItemType.ROLES)
    _check_contexts(contexts)
    return Proposal(
        protocol_version=version,
        calling_ae_title=_title(calling),
        called_ae_title=_title(called),
        titles=body[4:36],
        application_context=application_context,
        contexts=tuple(contexts),
        longest_pdu_bytes=longest_pdu_bytes,
        roles=roles,
    )


def _check_contexts(contexts: list[ProposedContext]) -> None:
    numbers = [context.context_id for context in contexts]
    if not 1 <= len(contexts) <= _MOST_CONTEXTS:
        raise _violation(f"{len(contexts)} presentation contexts, expected 1 to {_MOST_CONTEXTS}")
    if len(set(numbers)) != len(numbers) or any(number % 2 == 0 for number in numbers):
        raise _violation("presentation context numbers that are even or repeat")


def _context(value: bytes) -> ProposedContext:
    """Read one context (PS3.8 9.3.2.2): one abstract syntax and at least one transfer syntax."""
    if len(value) < _CONTEXT.size:
        raise _violation("presentation context shorter than its fixed part")
    items = list(_items(value[_CONTEXT.size :]))
    abstract = [_name(found) for kind, found in items if kind == ItemType.ABSTRACT_SYNTAX]
    transfer = tuple(_name(found) for kind, found in items if kind == ItemType.TRANSFER_SYNTAX)
    if len(abstract) != 1 or not transfer:
        raise _violation("presentation context without its one abstract syntax or without a transfer syntax")
    return ProposedContext(value[0], abstract[0], transfer)


def _longest_pdu(value: bytes) -> int:
    """Return the maximum length the peer receives (PS3.8 D.1.1), 0 where it states none."""
    stated = [found for kind, found in _items(value) if kind == ItemType.MAXIMUM_LENGTH]
    if not stated:
        return 0
    longest = int.from_bytes(stated[0], "big")
    if len(stated[0]) != 4 or 0 < longest < _SHORTEST_PDU_BYTES:
        raise _violation("a maximum PDU length that nothing fits in")
    return longest


def _roles(value: bytes) -> tuple[str, Roles]:
    """Read one role selection (PS3.7 D.3.3.4.1): a SOP class by its UID and its length, then both roles."""
    length = _ROLES.unpack_from(value)[0] if len(value) >= _ROLES.size else 0
    if len(value) != _ROLES.size + length + 2:
        raise _violation("role selection that its item does not hold")
    return _name(value[_ROLES.size : -2]), Roles(value[-2] == 1, value[-1] == 1)


def _items(encoded: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(encoded):
        if at + _ITEM.size > len(encoded):
            raise _violation("item whose header runs past the end")
        kind, length = _ITEM.unpack_from(encoded, at)
        at += _ITEM.size
        if at + length > len(encoded):
            raise _violation("item that runs past the end")
        yield kind, encoded[at : at + length]
        at += length


def _name(value: bytes) -> str:
    """Return a UID as it stands: one that is none is simply not among those we know."""
    return value.rstrip(b"\0 ").decode("latin-1")


def _title(value: bytes) -> str:
    """Return an AE title without outer spaces; whatever cannot be printed shows as a question mark."""
    text = value.strip(b"\0 ").decode("ascii", errors="replace")
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)


def _violation(found: str) -> ProtocolViolation:
    return ProtocolViolation(f"association request: {found}", AbortReason.INVALID_PARAMETER)
