"""Reports to peers on what they asked us to keep (PS3.4 J.3.3): each is sent until the peer takes it."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, select

from node import faults
from node.clock import Clock
from node.commitment.information import COMMITMENT_CLASS, COMMITMENT_INSTANCE, encode_report, event_type_of
from node.commitment.requests import close_request, report_on, tell
from node.database import Commitment, Database, EventName, Prepared
from node.database.due import is_due
from node.delivery.patience import Breakers, wait_seconds
from node.delivery.requestor import PLAIN_SYNTAXES, OutgoingAssociation, Requestor, associate
from node.errors import DeliveryDelayed, DeliveryError, PeerUnreachable
from node.faults import FaultPoint
from node.peers import Peer
from node.settings import Settings
from node.states import CommitmentState
from node.upper_layer.command import Command
from node.upper_layer.items import Roles
from node.upper_layer.pdu import OutgoingDataSet
from node.vocabulary import CommitmentReport, PeerAddress

BATCH = 50  # reports sent to a peer before the others are looked at again
GIVE_UP_AFTER = timedelta(days=7)  # and not before the attempts that a delivery has: a clock may jump

_ANY_JUDGED = Prepared(select(Commitment.id).where(Commitment.state == CommitmentState.JUDGED).limit(1))

_SUCCESS = 0x0000
_WARNINGS = frozenset((0x0001, 0x0107, 0x0116))  # PS3.7 C.3, C.4: it was taken all the same


class CommitmentReports:
    """Reports that are due, by the AE title of the peer; every answer is one transaction."""

    def __init__(self, database: Database, settings: Settings, clock: Clock, jitter: random.Random) -> None:
        """Report as `settings.node.ae_title`; `jitter` spreads retries so that they do not come at once."""
        self._database = database
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._breakers = Breakers(settings.delivery, jitter)
        self._stopping = threading.Event()

    def peers_due(self) -> set[str]:
        """Return the AE titles of the peers to report to now."""
        if not self._database.ask(_ANY_JUDGED):
            return set()
        with self._database.reading() as session:
            due = set(session.scalars(select(Commitment.calling_ae_title).where(*self._is_due()).distinct()))
        now = self._clock.boot_seconds()
        return {title for title in due if not self._breakers[title].is_waiting(now)}

    def send_due(self, peer_name: str) -> int:
        """Try what is due for one peer, a report after the other until one fails; return how many were tried."""
        tried = 0
        for commitment_id in self._due(peer_name):
            if self._stopping.is_set():
                break
            tried += 1
            if not self._report(commitment_id):
                break
        return tried

    def note_failure(self, peer_name: str) -> None:
        """Give a peer a pause after something went wrong with it."""
        self._breakers[peer_name].note_failure(self._clock.boot_seconds())

    def stop(self) -> None:
        """Begin no other report; what is on the wire is finished."""
        self._stopping.set()

    def _is_due(self) -> tuple[ColumnElement[bool], ...]:
        longest_seconds = self._settings.delivery.longest_retry_seconds
        due = is_due(Commitment.due_at, self._clock.now(), longest_seconds)
        return Commitment.state == CommitmentState.JUDGED, due

    def _due(self, ae_title: str) -> Sequence[int]:
        with self._database.reading() as session:
            due = select(Commitment.id).where(Commitment.calling_ae_title == ae_title, *self._is_due())
            return session.scalars(due.order_by(Commitment.id).limit(BATCH)).all()

    def _report(self, commitment_id: int) -> bool:
        """Send one report and note what came of it; return whether the peer took it."""
        with self._database.reading() as session:
            commitment = session.get_one(Commitment, commitment_id)
            report = report_on(session, commitment)
        try:
            self._send(self._peer(commitment.calling_ae_title), report)
        except DeliveryError as error:
            if isinstance(error, PeerUnreachable):
                self.note_failure(commitment.calling_ae_title)
            self._delay(commitment_id, str(error))
            return False
        self._breakers[commitment.calling_ae_title].note_success()
        faults.reach(FaultPoint.DELIVERY_ANSWERED)
        self._finish(commitment_id, report)
        return True

    def _peer(self, ae_title: str) -> Peer:
        peer = self._settings.peer_with_title(ae_title)
        if peer is None:
            raise PeerUnreachable(f"{ae_title}: no longer in peers.toml; add it and restart the node")
        return peer

    def _send(self, peer: Peer, report: CommitmentReport) -> None:
        settings = self._settings
        send_report(settings.node.ae_title, peer.address, report, settings.delivery.timeout_seconds)

    def _finish(self, commitment_id: int, report: CommitmentReport) -> None:
        with self._database.writing() as session:
            commitment = session.get_one(Commitment, commitment_id)
            commitment.attempts += 1
            commitment.answer = f"{_SUCCESS:04X}"
            close_request(session, commitment, CommitmentState.REPORTED)
            detail = {"committed": len(report.committed), "failed": len(report.failed)}
            tell(session, self._clock, EventName.COMMITMENT_REPORTED, commitment, **detail)

    def _delay(self, commitment_id: int, answer: str) -> None:
        """Try again later, or give up after both the attempts and the time allowed."""
        limits, now = self._settings.delivery, self._clock.now()
        with self._database.writing() as session:
            commitment = session.get_one(Commitment, commitment_id)
            commitment.attempts += 1
            commitment.answer = answer
            commitment.due_at = now + timedelta(seconds=wait_seconds(limits, commitment.attempts, self._jitter))
            if commitment.attempts >= limits.attempts and now - commitment.asked_at >= GIVE_UP_AFTER:
                close_request(session, commitment, CommitmentState.UNREPORTED)
                tell(session, self._clock, EventName.COMMITMENT_UNREPORTED, commitment, attempts=commitment.attempts)


def send_report(local_ae_title: str, peer: PeerAddress, report: CommitmentReport, timeout_seconds: float) -> None:
    """Send a report over an association of its own, in which we propose to be the SCP (PS3.4 J.3.3).

    Raises DeliveryError where the peer did not take it: it may come again.
    """
    proposed, roles = [(COMMITMENT_CLASS, PLAIN_SYNTAXES)], {COMMITMENT_CLASS: Roles(is_scu=False, is_scp=True)}
    with associate(Requestor(local_ae_title, timeout_seconds), peer, proposed, roles) as association:
        _send_event(association, report)


def _send_event(association: OutgoingAssociation, report: CommitmentReport) -> None:
    """Send the event and hear its answer; a peer that left out the roles is taken to know its own."""
    context = association.contexts[0]
    information = OutgoingDataSet.of(encode_report(report, context.transfer_syntax))
    answer = association.ask(
        context, Command.N_EVENT_REPORT_RQ, COMMITMENT_INSTANCE, information, event_type_of(report)
    )
    if answer.status != _SUCCESS and answer.status not in _WARNINGS:
        raise DeliveryDelayed(f"{answer.status:04X}: N-EVENT-REPORT refused; see the peer's log")
