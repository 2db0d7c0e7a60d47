"""Asks a peer over N-ACTION to commit to what it was sent, and hears its report if it comes at once (PS3.4 J.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from node.commitment.information import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    REQUEST_COMMITMENT,
    decode_report,
    encode_request,
)
from node.delivery.requestor import PLAIN_SYNTAXES, OutgoingAssociation, PeerRequest, Requestor, associate
from node.errors import AssociationBroken, CommitmentError
from node.upper_layer.command import Command
from node.upper_layer.pdu import OutgoingDataSet
from node.vocabulary import CommitmentReport, CommitmentRequest, PeerAddress

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
INVALID_ARGUMENT = 0x0115
UNRECOGNISED_OPERATION = 0x0211
_LOOK_SECONDS = 0.05

TakeReport = Callable[[CommitmentReport], None]


class Inquiry:
    """One association in which one question is asked, and what the peer reports meanwhile is heard."""

    def __init__(self, association: OutgoingAssociation) -> None:
        """Ask in the one context that the peer accepted."""
        self._association = association
        (self._context,) = association.contexts

    def ask(self, request: CommitmentRequest) -> int:
        """Send the N-ACTION and return the status of its answer; raises DeliveryDelayed when there is none."""
        information = OutgoingDataSet.of(encode_request(request, self._context.transfer_syntax))
        answer = self._association.ask(
            self._context, Command.N_ACTION_RQ, COMMITMENT_INSTANCE, information, REQUEST_COMMITMENT
        )
        return answer.status

    def hear(self, take_report: TakeReport, seconds: float, is_over: Callable[[], bool]) -> None:
        """Answer each report that comes within the time, or until it is over or the peer ends the association."""
        deadline = time.monotonic() + seconds
        while not is_over() and (left := deadline - time.monotonic()) > 0:
            try:
                heard = self._association.hear(min(left, _LOOK_SECONDS))
                if heard is not None:
                    self._association.answer(heard, self._take(heard, take_report))
            except AssociationBroken:
                return

    def _take(self, heard: PeerRequest, take_report: TakeReport) -> int:
        """Hand the report on; success means that what it says is in the database."""
        if heard.request.field != Command.N_EVENT_REPORT_RQ:
            return UNRECOGNISED_OPERATION
        try:
            take_report(decode_report(heard.data_set, self._context.transfer_syntax))
        except CommitmentError:
            return INVALID_ARGUMENT
        return SUCCESS


@contextmanager
def inquiry_at(local_ae_title: str, peer: PeerAddress, timeout_seconds: float) -> Iterator[Inquiry]:
    """Give an association over which the peer can be asked.

    We propose to be SCU of Storage Commitment, as is the rule for a requestor, so no roles are negotiated. Raises
    PeerUnreachable when there is no association, DeliveryRefused when the peer does not commit to anything.
    """
    proposed = [(COMMITMENT_CLASS, PLAIN_SYNTAXES)]
    with associate(Requestor(local_ae_title, timeout_seconds), peer, proposed) as association:
        yield Inquiry(association)
