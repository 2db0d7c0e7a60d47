"""Peers that ask for storage commitment and take, refuse or ignore the report on it, and a node's side of it."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ending import end_entity
from keeping import Keeper, keeper
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.events import Event as PeerEvent
from sqlalchemy import select
from waiting import PATIENCE_SECONDS

from node.commitment.information import COMMITMENT_CLASS, COMMITMENT_INSTANCE, decode_report
from node.commitment.judgement import Judgement
from node.commitment.requests import RequestBook, report_on
from node.database import Commitment, Event
from node.delivery.commitment_reports import CommitmentReports
from node.peers import Peer
from node.settings import DeliverySection, Settings
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference, PeerAddress

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian]
ASKER = "MODALITY"


@dataclass
class Asker:
    """A peer that takes reports; it answers each with the next of `answers`, with success once there is none.

    It aborts where the answer is None.
    """

    port: int
    answers: list[int | None]
    reports: list[CommitmentReport] = field(default_factory=list)
    event_types: list[int] = field(default_factory=list)
    roles: list[tuple[bool, bool]] = field(default_factory=list)

    @property
    def peer(self) -> Peer:
        return Peer(ae_title=ASKER, host="127.0.0.1", port=self.port)

    def take(self, event: PeerEvent) -> tuple[int, None]:
        answer = self.answers.pop(0) if self.answers else 0x0000
        if answer is None:
            event.assoc.abort()
            return 0x0110, None
        encoded = event.request.EventInformation.getvalue()
        self.reports.append(decode_report(encoded, event.context.transfer_syntax))
        self.event_types.append(event.event_type)
        proposed = event.assoc.requestor.role_selection.get(COMMITMENT_CLASS)
        self.roles.append((proposed.scu_role, proposed.scp_role))
        return answer, None


@contextmanager
def asker(*answers: int | None, port: int = 0, knows_roles: bool = True) -> Iterator[Asker]:
    """Run a peer that takes reports; one that `knows_roles` answers what role we propose."""
    entity = AE(ASKER)
    roles = {"scu_role": True, "scp_role": True} if knows_roles else {}
    entity.add_supported_context(COMMITMENT_CLASS, SYNTAXES, **roles)
    found = Asker(port, list(answers))
    handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, found.take)]
    server = entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers)
    found.port = server.socket.getsockname()[1]
    try:
        yield found
    finally:
        end_entity(entity)


def ask(address: PeerAddress, request: CommitmentRequest, calling: str = ASKER) -> tuple[int, str]:
    """Ask a node for commitment as pynetdicom does it; return status and comment."""
    entity = AE(calling)
    entity.acse_timeout = entity.dimse_timeout = PATIENCE_SECONDS
    entity.add_requested_context(COMMITMENT_CLASS, SYNTAXES)
    association = entity.associate(address.host, address.port, ae_title=address.ae_title)
    assert association.is_established
    answer, _ = association.send_n_action(as_dataset(request), 1, COMMITMENT_CLASS, COMMITMENT_INSTANCE)
    association.release()
    return answer.Status, answer.get("ErrorComment", "")


def as_dataset(request: CommitmentRequest) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = request.transaction_uid
    dataset.ReferencedSOPSequence = []
    for reference in request.references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = vars(reference).values()
        dataset.ReferencedSOPSequence.append(item)
    assert encode(dataset, True, True)
    return dataset


def request_for(*instances: Any, transaction_uid: str = "1.2.77") -> CommitmentRequest:
    """Return the request for what was received, or for data sets."""
    return CommitmentRequest(transaction_uid, tuple(reference_to(instance) for instance in instances))


def reference_to(instance: Any) -> InstanceReference:
    if isinstance(instance, Dataset):
        return InstanceReference(str(instance.SOPClassUID), str(instance.SOPInstanceUID))
    return InstanceReference(instance.sop_class_uid, instance.sop_instance_uid)


@dataclass
class Side:
    """A node's side of storage commitment: what is asked, judged and reported, without a listener."""

    keeper: Keeper
    settings: Settings

    def __post_init__(self) -> None:
        kept = self.keeper
        self.book = RequestBook(kept.database, self.settings, kept.clock)
        self.judgement = Judgement(kept.database, kept.archive, kept.clock)
        self.reports = CommitmentReports(kept.database, self.settings, kept.clock, random.Random(1))

    def take(self, request: CommitmentRequest, calling: str = ASKER) -> None:
        self.book.take_request(calling, request)

    def judged(self, request: CommitmentRequest) -> CommitmentReport:
        """Ask, judge, and return what the report would say."""
        self.take(request)
        self.judgement.judge_asked()
        (commitment,) = [row for row in self.commitments() if row.transaction_uid == request.transaction_uid]
        with self.keeper.database.reading() as session:
            return report_on(session, commitment)

    def commitments(self) -> Sequence[Commitment]:
        with self.keeper.database.reading() as session:
            return session.scalars(select(Commitment).order_by(Commitment.id)).all()

    def states(self) -> list[str]:
        return [str(row.state) for row in self.commitments()]

    def events(self) -> list[str]:
        with self.keeper.database.reading() as session:
            return list(session.scalars(select(Event.name).order_by(Event.id)))


def side(folder: Path, peer: Peer | None = None, **limits: float) -> Side:
    """Make a node's side that knows one peer, with nothing in its archive."""
    known = peer or Peer(ae_title=ASKER, host="127.0.0.1", port=104)
    delivery = DeliverySection(**{"timeout_seconds": PATIENCE_SECONDS, **limits})
    return Side(keeper(folder), Settings(peers={"asker": known}, delivery=delivery))
