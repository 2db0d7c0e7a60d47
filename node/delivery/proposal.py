"""What we propose to a peer in an A-ASSOCIATE-RQ, and what it answered (PS3.8 9.3.2 to 9.3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.upper_layer.items import (
    CONTEXT,
    FIXED_PART,
    ContextResult,
    ItemType,
    ProposedContext,
    Roles,
    decode_items,
    decode_longest_pdu,
    decode_name,
    encode_item,
    encode_negotiation,
    item_violation,
)
from node.upper_layer.pdu import PduType

_TITLE_BYTES = 16
_BEHIND_RESERVED = 1  # of a rejection

CALLING_UNKNOWN, CALLED_UNKNOWN = (1, 3), (1, 7)
# Why an association is rejected, by source and reason (PS3.8 Table 9-21).
_REASONS = {
    (1, 1): "no reason given",
    (1, 2): "application context name not supported",
    CALLING_UNKNOWN: "calling AE title not recognised",
    CALLED_UNKNOWN: "called AE title not recognised",
    (2, 1): "no reason given",
    (2, 2): "protocol version not supported",
    (3, 1): "temporary congestion",
    (3, 2): "local limit exceeded",
}


@dataclass(frozen=True)
class AcceptedContext:
    """A presentation context that both sides agreed on."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True)
class Acceptance:
    """What a peer accepted, how long a PDU it takes (0: any), and what implementation it says it is."""

    contexts: tuple[AcceptedContext, ...]
    longest_pdu_bytes: int
    implementation_class_uid: str
    implementation_version: str


def number_contexts(syntaxes: Sequence[tuple[str, Sequence[str]]]) -> tuple[ProposedContext, ...]:
    """Return contexts to propose, of an abstract syntax and its transfer syntaxes each; their numbers are odd."""
    return tuple(
        ProposedContext(2 * place + 1, str(abstract), tuple(map(str, transfer)))
        for place, (abstract, transfer) in enumerate(syntaxes)
    )


def encode_proposal(
    calling_ae_title: str, called_ae_title: str, contexts: Sequence[ProposedContext], roles: Mapping[str, Roles]
) -> bytes:
    """Return the A-ASSOCIATE-RQ; we are the SCU of every SOP class for which `roles` proposes nothing else."""
    titles = _title(called_ae_title), _title(calling_ae_title)
    return encode_negotiation(PduType.ASSOCIATE_RQ, titles, map(_encode_context, contexts), roles)


def decode_acceptance(body: bytes, proposed: Sequence[ProposedContext]) -> Acceptance:
    """Read the body of an A-ASSOCIATE-AC; raises ProtocolViolation for one that contradicts itself.

    A context that was not proposed, or is accepted in a transfer syntax that was not proposed for it, is not accepted.
    """
    if len(body) < FIXED_PART.size:
        raise item_violation("shorter than its fixed part")
    wanted = {context.context_id: context for context in proposed}
    contexts: dict[int, AcceptedContext] = {}
    told: dict[int, bytes] = {}
    longest_pdu_bytes = 0
    for kind, value in decode_items(body[FIXED_PART.size :]):
        if kind == ItemType.CONTEXT_ANSWERED:
            accepted = _accepted(value, wanted)
            if accepted is not None:
                contexts[accepted.context_id] = accepted
        elif kind == ItemType.USER_INFORMATION:
            longest_pdu_bytes = decode_longest_pdu(value)
            told = dict(decode_items(value))
    return Acceptance(
        contexts=tuple(contexts.values()),
        longest_pdu_bytes=longest_pdu_bytes,
        implementation_class_uid=decode_name(told.get(ItemType.IMPLEMENTATION_CLASS, b"")),
        implementation_version=decode_name(told.get(ItemType.IMPLEMENTATION_VERSION, b"")),
    )


def decode_rejection(body: bytes) -> tuple[tuple[int, int, int], str]:
    """Return what an A-ASSOCIATE-RJ says: result, source and reason, and what they mean (PS3.8 9.3.4)."""
    result, source, reason = body[_BEHIND_RESERVED:4].ljust(3, b"\0")
    words = _REASONS.get((source, reason), "a reason that the standard does not know")
    return (result, source, reason), f"{result},{source},{reason}: {words}"


def _encode_context(context: ProposedContext) -> bytes:
    syntaxes = [encode_item(ItemType.ABSTRACT_SYNTAX, context.abstract_syntax)]
    syntaxes += [encode_item(ItemType.TRANSFER_SYNTAX, syntax) for syntax in context.transfer_syntaxes]
    return encode_item(ItemType.CONTEXT_PROPOSED, CONTEXT.pack(context.context_id, 0) + b"".join(syntaxes))


def _accepted(value: bytes, wanted: Mapping[int, ProposedContext]) -> AcceptedContext | None:
    if len(value) < CONTEXT.size:
        raise item_violation("presentation context shorter than its fixed part")
    number, result = CONTEXT.unpack_from(value)
    proposed = wanted.get(number)
    if proposed is None or result != ContextResult.ACCEPTANCE:
        return None
    taken = decode_name(dict(decode_items(value[CONTEXT.size :])).get(ItemType.TRANSFER_SYNTAX, b""))
    return AcceptedContext(number, proposed.abstract_syntax, taken) if taken in proposed.transfer_syntaxes else None


def _title(ae_title: str) -> bytes:
    return ae_title.encode("ascii").ljust(_TITLE_BYTES)
