"""Questions: which objects a peer is asked to commit to, and when it is asked again (PS3.4 J.3.2)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from pydicom.uid import generate_uid
from sqlalchemy import ColumnElement, or_, select, update
from sqlalchemy.orm import Session

from node.clock import Clock, JumpWatch, doubled_seconds
from node.commitment.pledges import reference_to
from node.database import (
    Database,
    Delivery,
    Destination,
    EventName,
    Pledge,
    PledgedObject,
    record_event,
)
from node.database.due import is_due
from node.settings import Settings
from node.states import DeliveryState
from node.vocabulary import CommitmentRequest

logger = logging.getLogger("radnode.commitment")

OBJECTS_AT_ONCE = 100  # in one transaction
LONGEST_PAUSE_SECONDS = 86400.0


class Questions:
    """The rows of what peers are asked; each is written before anything is sent, so a crash only delays an answer."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        """Ask the peers of `settings` that have `commitment`, as patiently as `settings.delivery` says."""
        self._database = database
        self._settings = settings
        self._clock = clock
        self._jumps = JumpWatch(clock)

    def peers_due(self) -> set[str]:
        """Return the peers to ask now, by their names in peers.toml, without those that a person has paused."""
        with self._database.reading() as session:
            waiting = select(Delivery.destination).where(_is_asked_about(), self._is_due()).distinct()
            due = {self._settings.peer_name(name) for name in session.scalars(waiting) if self._is_wanted(name)}
            return due - set(session.scalars(select(Destination.name).where(Destination.is_paused)))

    def ask(self, peer_name: str) -> CommitmentRequest | None:
        """Write down one transaction about all that is due, or was never asked about, at a peer; None if nothing is.

        Until it is answered, the same is asked again, in another transaction, with growing pauses.
        """
        with self._database.writing() as session:
            deliveries = self._due(session, peer_name)
            if not deliveries:
                return None
            pledge = Pledge(
                transaction_uid=generate_uid(prefix=None),
                ae_title=self._settings.peers[peer_name].ae_title,
                asked_at=self._clock.now(),
                objects=[PledgedObject(delivery=each, sent_at=each.sent_at) for each in deliveries],
            )
            session.add(pledge)
            for delivery in deliveries:
                delivery.askings += 1
                again_seconds = self._settings.delivery.commitment_again_seconds
                self._put_off(delivery, doubled_seconds(again_seconds, delivery.askings - 1, LONGEST_PAUSE_SECONDS))
            references = dict.fromkeys(map(reference_to, deliveries))
            return CommitmentRequest(pledge.transaction_uid, tuple(references))

    def note_accepted(self, request: CommitmentRequest) -> None:
        """Note that the peer has taken the question and owes us a report."""
        with self._database.writing() as session:
            for delivery in _open(session, request):
                delivery.answer = f"asked to commit, no report yet (asked {delivery.askings} times)"
                detail = {"destination": delivery.destination, "transaction": request.transaction_uid}
                record_event(session, self._clock.now(), EventName.COMMITMENT_ASKED, delivery, **detail)

    def note_unanswered(self, request: CommitmentRequest, reason: str) -> None:
        """Note why nobody knows whether the peer has heard the question; a report may come, and we ask again."""
        with self._database.writing() as session:
            for delivery in _open(session, request):
                delivery.answer = f"asked to commit: {reason}"

    def note_refused(self, request: CommitmentRequest, reason: str) -> None:
        """Forget a transaction that the peer has refused, and ask again with growing pauses."""
        limits = self._settings.delivery
        with self._database.writing() as session:
            for delivery in _open(session, request):
                first_seconds, longest_seconds = limits.first_retry_seconds, limits.longest_retry_seconds
                self._put_off(delivery, doubled_seconds(first_seconds, delivery.askings - 1, longest_seconds))
                delivery.answer = f"not asked to commit: {reason}"
            session.delete(_pledge(session, request))

    def take_back(self, request: CommitmentRequest, reason: str) -> None:
        """Forget a transaction that the peer cannot have heard of; what it was about is due again at once."""
        with self._database.writing() as session:
            for delivery in _open(session, request):
                delivery.askings -= 1
                self._put_off(delivery, 0.0)
                delivery.answer = f"not asked to commit: {reason}"
            session.delete(_pledge(session, request))

    def is_reported(self, request: CommitmentRequest) -> bool:
        """Tell whether the peer has reported on a transaction, whichever way."""
        with self._database.reading() as session:
            return _pledge(session, request).reported_at is not None

    def give_up(self) -> int:
        """Ask no more about what was sent `commitment_days` ago; return how many objects that were.

        Nor about what went to a peer that is no longer to be asked. While the wall clock is doubtful nothing
        grows old.
        """
        with self._database.writing() as session:
            self._drop_unwanted(session)
            old = [] if self._jumps.is_doubtful() else self._old(session)
            for delivery in old:
                self._give_up(session, delivery)
            return len(old)

    def _drop_unwanted(self, session: Session) -> None:
        destinations = session.scalars(select(Delivery.destination).where(_is_asked_about()).distinct())
        unwanted = [name for name in destinations if not self._is_wanted(name)]
        asked_in_vain = update(Delivery).where(_is_asked_about(), Delivery.destination.in_(unwanted))
        session.execute(asked_in_vain.values(commitment_due_at=None))

    def _old(self, session: Session) -> Sequence[Delivery]:
        before = self._clock.now() - timedelta(days=self._settings.delivery.commitment_days)
        old = select(Delivery).where(_is_asked_about(), Delivery.sent_at <= before)
        return session.scalars(old.order_by(Delivery.id).limit(OBJECTS_AT_ONCE)).all()

    def _give_up(self, session: Session, delivery: Delivery) -> None:
        delivery.commitment_due_at = None
        days = self._settings.delivery.commitment_days
        delivery.answer = f"never committed, in {days:g} days; last: {delivery.answer}"
        detail = {"destination": delivery.destination, "askings": delivery.askings}
        record_event(session, self._clock.now(), EventName.DELIVERY_NEVER_COMMITTED, delivery, **detail)

    def _due(self, session: Session, peer_name: str) -> Sequence[Delivery]:
        """Return what to ask a peer about in one transaction."""
        destinations = session.scalars(select(Delivery.destination).where(_is_asked_about()).distinct())
        meant = [name for name in destinations if self._settings.peer_name(name) == peer_name]
        is_to_be_asked = or_(self._is_due(), Delivery.askings == 0)
        due = select(Delivery).where(_is_asked_about(), Delivery.destination.in_(meant), is_to_be_asked)
        return session.scalars(due.order_by(Delivery.id).limit(OBJECTS_AT_ONCE)).all()

    def _is_due(self) -> ColumnElement[bool]:
        return is_due(Delivery.commitment_due_at, self._clock.now(), LONGEST_PAUSE_SECONDS)

    def _is_wanted(self, destination: str) -> bool:
        return self._settings.wants_commitment(destination)

    def _put_off(self, delivery: Delivery, seconds: float) -> None:
        delivery.commitment_due_at = self._clock.now() + timedelta(seconds=seconds)


def _is_asked_about() -> ColumnElement[bool]:
    """Select what was sent and waits to be committed to."""
    return (Delivery.commitment_due_at.is_not(None)) & (Delivery.state == DeliveryState.SENT)


def _pledge(session: Session, request: CommitmentRequest) -> Pledge:
    return session.scalars(select(Pledge).where(Pledge.transaction_uid == request.transaction_uid)).one()


def _open(session: Session, request: CommitmentRequest) -> Iterator[Delivery]:
    """Yield what a transaction is about and neither a report nor a person has decided on since."""
    for asked in _pledge(session, request).objects:
        delivery = asked.delivery
        is_same = delivery.state == DeliveryState.SENT and delivery.sent_at == asked.sent_at
        if is_same and delivery.commitment_due_at is not None:
            yield delivery
