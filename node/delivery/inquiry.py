"""Asks a peer over N-ACTION to commit to what it was sent, and hears its report if it comes at once (PS3.4 J.3)."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_ACTION, N_EVENT_REPORT
from pynetdicom.presentation import build_context

from node.commitment.information import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    REQUEST_COMMITMENT,
    decode_report,
    encode_request,
)
from node.delivery.requestor import Requestor, associate
from node.errors import CommitmentError, DeliveryDelayed
from node.vocabulary import CommitmentReport, CommitmentRequest, PeerAddress

SUCCESS = 0x0000
PROCESSING_FAILURE = 0x0110
INVALID_ARGUMENT = 0x0115
_MESSAGE_ID = 1

TakeReport = Callable[[CommitmentReport], None]


class Inquiry:
    """One association in which one question is asked; whoever asks also serves, so that no message is taken twice."""

    def __init__(self, association: Association) -> None:
        """Take over the association's reports, which pynetdicom 3.0.4 would serve in a thread of its own.

        That thread pauses and wakes the association's own one, so that a release at that moment may wait for ever.
        """
        self._association = association
        (context,) = association.accepted_contexts
        assert context.context_id is not None
        self._context_id = context.context_id
        self._transfer_syntax = UID(context.transfer_syntax[0])
        self._reports: queue.Queue[N_EVENT_REPORT] = queue.Queue()
        served: Any = association
        served._serve_request = lambda message, _context_id: self._reports.put(message)  # noqa: SLF001

    def ask(self, request: CommitmentRequest) -> int:
        """Send the N-ACTION and return the status of its answer; raises DeliveryDelayed when there is none."""
        action = N_ACTION()
        action.MessageID = _MESSAGE_ID
        action.RequestedSOPClassUID = UID(COMMITMENT_CLASS)
        action.RequestedSOPInstanceUID = UID(COMMITMENT_INSTANCE)
        action.ActionTypeID = REQUEST_COMMITMENT
        action.ActionInformation = BytesIO(encode_request(request, self._transfer_syntax))
        self._association.dimse.send_msg(action, self._context_id)
        _, response = self._association.dimse.get_msg(block=True)
        if response is None:
            raise DeliveryDelayed("no answer to N-ACTION: the peer fell silent or broke off the association")
        if not isinstance(response, N_ACTION) or not response.is_valid_response:
            raise DeliveryDelayed("the answer to N-ACTION is none; see the peer's log")
        assert response.Status is not None
        return int(response.Status)

    def hear(self, take_report: TakeReport, seconds: float, is_over: Callable[[], bool]) -> None:
        """Answer each report that comes within the time, or until it is over or the peer ends the association."""
        deadline = time.monotonic() + seconds
        while self._association.is_established and not is_over() and (left := deadline - time.monotonic()) > 0:
            try:
                report = self._reports.get(timeout=min(left, 0.05))
            except queue.Empty:
                continue
            self._answer(report, self._take(report, take_report))

    def _take(self, message: N_EVENT_REPORT, take_report: TakeReport) -> int:
        """Hand the report on; success means that what it says is in the database."""
        information: Any = message.EventInformation
        try:
            take_report(decode_report(information.getvalue() if information else b"", self._transfer_syntax))
        except CommitmentError:
            return INVALID_ARGUMENT
        return SUCCESS

    def _answer(self, message: N_EVENT_REPORT, status: int) -> None:
        response = N_EVENT_REPORT()
        response.MessageIDBeingRespondedTo = message.MessageID
        response.AffectedSOPClassUID = message.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = message.AffectedSOPInstanceUID
        response.EventTypeID = message.EventTypeID
        response.Status = status
        self._association.dimse.send_msg(response, self._context_id)


@contextmanager
def inquiry_at(local_ae_title: str, peer: PeerAddress, timeout_seconds: float) -> Iterator[Inquiry]:
    """Give an association over which the peer can be asked.

    We propose to be SCU of Storage Commitment, as is the rule for a requestor, so no roles are negotiated. Raises
    PeerUnreachable when there is no association, DeliveryRefused when the peer does not commit to anything.
    """
    contexts = [build_context(COMMITMENT_CLASS, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])]
    with associate(Requestor(local_ae_title, timeout_seconds), peer, contexts) as association:
        yield Inquiry(association)
