"""Our answer to a proposal: which presentation contexts we accept, as an A-ASSOCIATE-AC (PS3.8 9.3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.uid import ImplicitVRLittleEndian

from node.association.allowlist import Rejection
from node.association.contexts import COMMITMENT
from node.association.proposal import Proposal
from node.upper_layer.items import (
    APPLICATION_CONTEXT_NAME,
    CONTEXT,
    PROTOCOL_VERSION,
    ContextResult,
    ItemType,
    ProposedContext,
    Roles,
    encode_item,
    encode_negotiation,
)
from node.upper_layer.pdu import PduType


@dataclass(frozen=True)
class AnsweredContext:
    """A presentation context with its result; the transfer syntax means something only where it is accepted."""

    context_id: int
    result: ContextResult
    abstract_syntax: str
    transfer_syntax: str

    @property
    def is_accepted(self) -> bool:
        """Return whether messages may come in it."""
        return self.result is ContextResult.ACCEPTANCE


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
    titles = proposal.titles[:16], proposal.titles[16:]
    roles = dict(_answered_roles(proposal, contexts))
    return encode_negotiation(PduType.ASSOCIATE_AC, titles, map(_encode_context, contexts), roles)


def _answered_roles(proposal: Proposal, contexts: Sequence[AnsweredContext]) -> Iterator[tuple[str, Roles]]:
    """Give the roles of storage commitment as they were proposed, where a context for it is accepted."""
    accepted = {context.abstract_syntax for context in contexts if context.is_accepted}
    for sop_class, roles in proposal.roles.items():
        if sop_class == COMMITMENT and sop_class in accepted:
            yield sop_class, roles


def _encode_context(context: AnsweredContext) -> bytes:
    syntax = encode_item(ItemType.TRANSFER_SYNTAX, context.transfer_syntax)
    return encode_item(ItemType.CONTEXT_ANSWERED, CONTEXT.pack(context.context_id, context.result) + syntax)


def _answer(context: ProposedContext, syntaxes: Sequence[str] | None) -> AnsweredContext:
    taken = next((syntax for syntax in syntaxes or () if syntax in context.transfer_syntaxes), None)
    if taken is not None:
        return AnsweredContext(context.context_id, ContextResult.ACCEPTANCE, context.abstract_syntax, taken)
    unknown = syntaxes is None
    why = ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED if unknown else ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
    return AnsweredContext(context.context_id, why, context.abstract_syntax, ImplicitVRLittleEndian)
