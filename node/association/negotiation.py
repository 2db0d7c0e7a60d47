"""Our answer to a proposal: which presentation contexts we accept, as an A-ASSOCIATE-AC (PS3.8 9.3.3)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from pydicom.uid import ImplicitVRLittleEndian

from node.association.allowlist import Rejection
from node.association.contexts import COMMITMENT
from node.association.pdu import MAXIMUM_PDU_BYTES, PduType, encode_pdu
from node.association.proposal import ItemType, Proposal, ProposedContext
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT_NAME = "1.2.840.10008.3.1.1.1"  # PS3.7 A.2.1
PROTOCOL_VERSION = 1

_RESERVED = bytes(32)


class _Result(IntEnum):
    """What becomes of a presentation context (PS3.8 Table 9-18)."""

    ACCEPTANCE = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


@dataclass(frozen=True)
class AnsweredContext:
    """A presentation context with its result; the transfer syntax means something only where it is accepted."""

    context_id: int
    result: _Result
    abstract_syntax: str
    transfer_syntax: str

    @property
    def is_accepted(self) -> bool:
        """Return whether messages may come in it."""
        return self.result is _Result.ACCEPTANCE


def judge_proposal(proposal: Proposal) -> Rejection | None:
    """Return why we cannot speak with this peer at all, if so."""
    if not proposal.protocol_version & PROTOCOL_VERSION:
        return Rejection.PROTOCOL_VERSION
    if proposal.application_context != APPLICATION_CONTEXT_NAME:
        return Rejection.APPLICATION_CONTEXT
    return None


def answer_contexts(proposal: Proposal, supported: Mapping[str, Sequence[str]]) -> list[AnsweredContext]:
    """Judge each context; of its transfer syntaxes the one that `supported` names first is taken."""
    return [_answer(context, supported.get(context.abstract_syntax)) for context in proposal.contexts]


def encode_acceptance(proposal: Proposal, contexts: Sequence[AnsweredContext]) -> bytes:
    """Return the A-ASSOCIATE-AC; AE titles go back as they came.

    Roles are agreed to for storage commitment, where a report comes from who has the other one. Those of
    other SOP classes, extended negotiation, user identity and the asynchronous window are left out, which
    means the default of each (PS3.7 D.3.3).
    """
    items = [_item(ItemType.APPLICATION_CONTEXT, APPLICATION_CONTEXT_NAME.encode())]
    for context in contexts:
        syntax = _item(ItemType.TRANSFER_SYNTAX, context.transfer_syntax.encode())
        items.append(_item(ItemType.CONTEXT_ANSWERED, bytes((context.context_id, 0, context.result, 0)) + syntax))
    user_information = (
        _item(ItemType.MAXIMUM_LENGTH, struct.pack(">I", MAXIMUM_PDU_BYTES)),
        _item(ItemType.IMPLEMENTATION_CLASS, IMPLEMENTATION_CLASS_UID.encode()),
        *_answered_roles(proposal, contexts),
        _item(ItemType.IMPLEMENTATION_VERSION, IMPLEMENTATION_VERSION_NAME.encode()),
    )
    items.append(_item(ItemType.USER_INFORMATION, b"".join(user_information)))
    fixed = struct.pack(">HH", PROTOCOL_VERSION, 0) + proposal.titles + _RESERVED
    return encode_pdu(PduType.ASSOCIATE_AC, fixed + b"".join(items))


def _answered_roles(proposal: Proposal, contexts: Sequence[AnsweredContext]) -> Iterator[bytes]:
    """Give the roles of storage commitment as they were proposed, where a context for it is accepted."""
    accepted = {context.abstract_syntax for context in contexts if context.is_accepted}
    for sop_class, roles in proposal.roles.items():
        if sop_class == COMMITMENT and sop_class in accepted:
            name = sop_class.encode()
            yield _item(ItemType.ROLES, struct.pack(">H", len(name)) + name + bytes(roles))


def _answer(context: ProposedContext, syntaxes: Sequence[str] | None) -> AnsweredContext:
    taken = next((syntax for syntax in syntaxes or () if syntax in context.transfer_syntaxes), None)
    if taken is not None:
        return AnsweredContext(context.context_id, _Result.ACCEPTANCE, context.abstract_syntax, taken)
    unknown = _Result.ABSTRACT_SYNTAX_NOT_SUPPORTED if syntaxes is None else _Result.TRANSFER_SYNTAXES_NOT_SUPPORTED
    return AnsweredContext(context.context_id, unknown, context.abstract_syntax, ImplicitVRLittleEndian)


def _item(kind: ItemType, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value
