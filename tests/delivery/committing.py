"""Peers that are asked to commit to what they were sent: they answer, and report, as a test says."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO

from ending import end_entity
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import N_EVENT_REPORT
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_role
from waiting import PATIENCE_SECONDS

from node.commitment.information import (
    COMMITMENT_CLASS,
    COMMITMENT_INSTANCE,
    decode_report,
    decode_request,
    encode_report,
    event_type_of,
)
from node.commitment.pledges import Pledges
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference

NO_SUCH_INSTANCE = 0x0112


def all_committed(request: CommitmentRequest) -> CommitmentReport:
    return CommitmentReport(request.transaction_uid, request.references, {})


def all_but(request: CommitmentRequest, *lost: str, reason: int = NO_SUCH_INSTANCE) -> CommitmentReport:
    """Return a report that the instances with these UIDs are not kept."""
    failed = {reference: reason for reference in request.references if reference.sop_instance_uid in lost}
    kept = tuple(reference for reference in request.references if reference not in failed)
    return CommitmentReport(request.transaction_uid, kept, failed)


@dataclass
class CommittingPeer:
    """A peer called PACS that stores everything and notes what it was asked to commit to.

    `answer` is its status to N-ACTION, or None for no answer; `report` makes what it reports on the same association.
    """

    answer: int | None = 0x0000
    report: Callable[[CommitmentRequest], CommitmentReport] | None = None
    commits: bool = True
    stored: list[str] = field(default_factory=list)
    asked: list[CommitmentRequest] = field(default_factory=list)
    report_answers: list[int] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    def store(self, event: evt.Event) -> int:
        self.stored.append(event.request.AffectedSOPInstanceUID)
        return 0x0000

    def act(self, event: evt.Event) -> tuple[int, None]:
        request = decode_request(event.request.ActionInformation.getvalue(), event.context.transfer_syntax)
        self.asked.append(request)
        self.answered.clear()
        if self.answer is None:
            self.released.wait(PATIENCE_SECONDS)
            return 0x0000, None
        if self.report is not None:
            self._report_soon(event, self.report(request))
        return self.answer, None

    def _report_soon(self, event: evt.Event, report: CommitmentReport) -> None:
        """Report from a thread of its own once the N-ACTION is answered."""

        def send() -> None:
            self.answered.wait(PATIENCE_SECONDS)
            message = report_message(report, event.context.transfer_syntax)
            event.assoc.dimse.send_msg(message, event.context.context_id)

        threading.Thread(target=send, daemon=True).start()

    def note_pdu(self, event: evt.Event) -> None:
        """Note that the answer has gone out, the one message between a request and what may follow it."""
        if isinstance(event.pdu, P_DATA_TF):
            self.answered.set()

    def note_message(self, event: evt.Event) -> None:
        command = event.message.command_set
        if "EventTypeID" in command and "Status" in command:
            self.report_answers.append(command.Status)


def report_message(report: CommitmentReport, transfer_syntax: str) -> N_EVENT_REPORT:
    message = N_EVENT_REPORT()
    message.MessageID = 7
    message.AffectedSOPClassUID = COMMITMENT_CLASS
    message.AffectedSOPInstanceUID = COMMITMENT_INSTANCE
    message.EventTypeID = event_type_of(report)
    message.EventInformation = BytesIO(encode_report(report, transfer_syntax))
    return message


@contextmanager
def committing(peer: CommittingPeer, port: int = 0) -> Iterator[CommittingPeer]:
    """Run the peer on loopback."""
    entity = AE("PACS")
    entity.supported_contexts = list(AllStoragePresentationContexts)
    entity.add_supported_context("1.2.840.10008.1.1")
    if peer.commits:
        entity.add_supported_context(COMMITMENT_CLASS)
    handlers = [
        (evt.EVT_C_STORE, peer.store),
        (evt.EVT_N_ACTION, peer.act),
        (evt.EVT_DIMSE_RECV, peer.note_message),
        (evt.EVT_PDU_SENT, peer.note_pdu),
    ]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    assert server is not None
    peer.port = server.server_address[1]
    try:
        yield peer
    finally:
        peer.released.set()
        end_entity(entity)


@contextmanager
def our_listener(pledges: Pledges, port: int = 0, ae_title: str = "RADNODE") -> Iterator[tuple[int, list[str]]]:
    """Listen as our node does and hand reports to `pledges`; give the port and what was heard."""
    heard: list[str] = []

    def take(event: evt.Event) -> tuple[int, Dataset | None]:
        information = event.request.EventInformation.getvalue()
        report = decode_report(information, event.context.transfer_syntax)
        pledges.take_report(event.assoc.requestor.ae_title, report)
        heard.append(report.transaction_uid)
        return 0x0000, None

    entity = AE(ae_title)
    entity.add_supported_context(COMMITMENT_CLASS, scu_role=True, scp_role=True)
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, take)])
    assert server is not None
    try:
        yield server.server_address[1], heard
    finally:
        end_entity(entity)


def send_report(port: int, calling: str, report: CommitmentReport) -> int:
    """Report on an association of our own, as an SCP does later, and return the status of the answer."""
    entity = AE(calling)
    entity.add_requested_context(COMMITMENT_CLASS, ExplicitVRLittleEndian)
    role = build_role(COMMITMENT_CLASS, scp_role=True)
    association = entity.associate("127.0.0.1", port, ext_neg=[role])
    assert association.is_established
    information = Dataset()
    information.TransactionUID = report.transaction_uid
    information.ReferencedSOPSequence = [_item(reference) for reference in report.committed]
    status, _ = association.send_n_event_report(
        information, event_type_of(report), COMMITMENT_CLASS, COMMITMENT_INSTANCE
    )
    association.release()
    return int(status.Status)


def _item(reference: InstanceReference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.sop_class_uid, reference.sop_instance_uid
    return item


def uids(requests: Sequence[CommitmentRequest]) -> list[set[str]]:
    return [{reference.sop_instance_uid for reference in request.references} for request in requests]
