"""What a peer proposes in its A-ASSOCIATE-RQ (PS3.8 9.3.2), read without trusting a single length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.upper_layer.items import (
    CONTEXT,
    FIXED_PART,
    ItemType,
    ProposedContext,
    Roles,
    decode_items,
    decode_longest_pdu,
    decode_name,
    decode_roles,
    item_violation,
)

_MOST_CONTEXTS = 128


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
    if len(body) < FIXED_PART.size:
        raise item_violation("shorter than its fixed part")
    version, _, called, calling = FIXED_PART.unpack_from(body)
    application_context = ""
    contexts: list[ProposedContext] = []
    longest_pdu_bytes = 0
    roles: dict[str, Roles] = {}
    for kind, value in decode_items(body[FIXED_PART.size :]):
        if kind == ItemType.APPLICATION_CONTEXT:
            application_context = decode_name(value)
        elif kind == ItemType.CONTEXT_PROPOSED:
            contexts.append(_context(value))
        elif kind == ItemType.USER_INFORMATION:
            longest_pdu_bytes = decode_longest_pdu(value)
            roles = dict(decode_roles(found) for kind, found in decode_items(value) if kind == ItemType.ROLES)
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
        raise item_violation(f"{len(contexts)} presentation contexts, expected 1 to {_MOST_CONTEXTS}")
    if len(set(numbers)) != len(numbers) or any(number % 2 == 0 for number in numbers):
        raise item_violation("presentation context numbers that are even or repeat")


def _context(value: bytes) -> ProposedContext:
    """Read one context (PS3.8 9.3.2.2): one abstract syntax and at least one transfer syntax."""
    if len(value) < CONTEXT.size:
        raise item_violation("presentation context shorter than its fixed part")
    items = list(decode_items(value[CONTEXT.size :]))
    abstract = [decode_name(found) for kind, found in items if kind == ItemType.ABSTRACT_SYNTAX]
    transfer = tuple(decode_name(found) for kind, found in items if kind == ItemType.TRANSFER_SYNTAX)
    if len(abstract) != 1 or not transfer:
        raise item_violation("presentation context without its one abstract syntax or without a transfer syntax")
    return ProposedContext(value[0], abstract[0], transfer)


def _title(value: bytes) -> str:
    """Return an AE title without outer spaces; whatever cannot be printed shows as a question mark."""
    text = value.strip(b"\0 ").decode("ascii", errors="replace")
    return "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in text)
