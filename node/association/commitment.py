"""Storage commitment on the wire (PS3.4 Annex J): a peer's N-ACTION and N-EVENT-REPORT, judged and handed on."""

from __future__ import annotations

import threading

from node.association.contexts import COMMITMENT
from node.association.negotiation import AnsweredContext
from node.association.statuses import Answer, CommitmentStatus
from node.commitment.information import (
    ALL_COMMITTED,
    COMMITMENT_INSTANCE,
    REQUEST_COMMITMENT,
    SOME_FAILED,
    decode_report,
    decode_request,
)
from node.commitment.pledges import Pledges
from node.commitment.requests import RequestBook
from node.errors import MalformedCommitment, ProtocolViolation, TooMuchAsked
from node.upper_layer.command import Command, Request
from node.upper_layer.pdu import AbortReason

LARGEST_INFORMATION_BYTES = 2 * 1024**2  # as many may come at once as there are associations


class IncomingInformation:
    """The data set of a request on its way from the wire; one that is too long is dropped as it comes."""

    def __init__(self) -> None:
        self._encoded = bytearray()
        self._received_bytes = 0

    def write(self, fragment: memoryview) -> None:
        """Append a fragment; raises ProtocolViolation only for a data set that seems to have no end."""
        self._received_bytes += len(fragment)
        if self._received_bytes > 2 * LARGEST_INFORMATION_BYTES:
            raise ProtocolViolation("data set that has no end", AbortReason.NOT_SPECIFIED)
        if self._received_bytes > LARGEST_INFORMATION_BYTES:
            self._encoded.clear()
        else:
            self._encoded += fragment

    def claim(self) -> bytes:
        """Return the data set; raises TooMuchAsked for one that was too long."""
        if self._received_bytes > LARGEST_INFORMATION_BYTES:
            raise TooMuchAsked(f"data set: over {LARGEST_INFORMATION_BYTES >> 20} MiB; send several requests")
        return bytes(self._encoded)


class CommitmentService:
    """Hands on what is asked and reported, once its command has been judged."""

    def __init__(self, requests: RequestBook, pledges: Pledges) -> None:
        """Hand an N-ACTION to `requests` and an N-EVENT-REPORT to `pledges`, one after the other.

        What one holds takes many times its length once it is read, and as many may come at once as there are
        associations.
        """
        self._requests = requests
        self._pledges = pledges
        self._turn = threading.Lock()

    def take(
        self, request: Request, context: AnsweredContext, incoming: IncomingInformation, calling_ae_title: str
    ) -> Answer:
        """Answer an N-ACTION or N-EVENT-REPORT; success means that it is on record.

        Raises CommitmentError, and what keeps a row from being written.
        """
        refusal = judge_command(request, context)
        if refusal is not None:
            return refusal
        if not request.has_data_set:
            raise MalformedCommitment("data set: found none, expected one after the command")
        with self._turn:
            encoded = incoming.claim()
            if request.field == Command.N_ACTION_RQ:
                self._requests.take_request(calling_ae_title, decode_request(encoded, context.transfer_syntax))
            else:
                self._pledges.take_report(calling_ae_title, decode_report(encoded, context.transfer_syntax))
        return Answer(CommitmentStatus.SUCCESS)


def judge_command(request: Request, context: AnsweredContext) -> Answer | None:
    """Return the answer to a command that storage commitment does not know, None for one that it does."""
    if request.sop_class_uid != COMMITMENT or context.abstract_syntax != COMMITMENT:
        return Answer(CommitmentStatus.NO_SUCH_CLASS, "only storage commitment has actions and events here")
    if request.sop_instance_uid != COMMITMENT_INSTANCE:
        return Answer(CommitmentStatus.NO_SUCH_INSTANCE, f"expected {COMMITMENT_INSTANCE}")
    is_action = request.field == Command.N_ACTION_RQ
    if is_action and request.type_id != REQUEST_COMMITMENT:
        return Answer(CommitmentStatus.NO_SUCH_ACTION, f"expected Action Type ID {REQUEST_COMMITMENT}")
    if not is_action and request.type_id not in {ALL_COMMITTED, SOME_FAILED}:
        return Answer(CommitmentStatus.NO_SUCH_EVENT, f"expected Event Type ID {ALL_COMMITTED} or {SOME_FAILED}")
    return None
