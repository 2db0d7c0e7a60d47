"""The outbox: result objects that wait for a destination, sent with patience and never silently lost."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pydicom.errors import InvalidDicomError
from sqlalchemy import select
from sqlalchemy.orm import Session

from node.archive import Archive
from node.clock import Clock
from node.database import Database, Delivery, EventName, Job, Result, Study, record_event
from node.delivery.scu import Fate, StoreAnswer, classify, send_instances
from node.errors import ArchiveError, DeliveryDelayed, IdentityMismatch
from node.jobs.progress import derive_progress, hold_study
from node.results.identity import check_identity
from node.settings import SENDER, Peer, Settings
from node.states import DeliveryState, StudyState
from node.vocabulary import StudyIdentity

_WAITING = (DeliveryState.PENDING, DeliveryState.RETRYING)


@dataclass(frozen=True)
class _Parcel:
    """A result object to send, where it lies, and what it must agree with."""

    delivery_id: int
    destination: str
    result_path: str
    sibling_paths: tuple[str, ...]
    source_paths: tuple[str, ...]
    recorded: StudyIdentity


class Outbox:
    """Sends what is due; every answer is one transaction, so a crash repeats at most one object."""

    def __init__(
        self, database: Database, archive: Archive, settings: Settings, clock: Clock, jitter: random.Random
    ) -> None:
        """Send as `settings.node.ae_title`; `jitter` spreads retries so that they do not come at once."""
        self._database = database
        self._archive = archive
        self._settings = settings
        self._clock = clock
        self._jitter = jitter

    def send_due(self) -> int:
        """Try every delivery that is due, one association per destination; return how many were tried."""
        by_destination: dict[str, list[_Parcel]] = defaultdict(list)
        for parcel in self._due():
            by_destination[parcel.destination].append(parcel)
        for destination, parcels in by_destination.items():
            self._send(destination, [parcel for parcel in parcels if self._is_safe(parcel)])
        return sum(map(len, by_destination.values()))

    def _due(self) -> list[_Parcel]:
        with self._database.reading() as session:
            due = session.scalars(
                select(Delivery)
                .join(Delivery.result)
                .join(Result.job)
                .join(Job.study)
                .where(
                    Delivery.state.in_(_WAITING),
                    Delivery.due_at <= self._clock.now(),
                    Study.state != StudyState.HELD,
                )
                .order_by(Delivery.id)
            ).all()
            return [_parcel(delivery) for delivery in due]

    def _is_safe(self, parcel: _Parcel) -> bool:
        """Read result and source again and compare them with the database; hold the study if they differ."""
        try:
            result = self._archive.read(parcel.result_path)
            siblings = [self._archive.read(path) for path in parcel.sibling_paths]
            sources = [self._archive.read(path, pixels=False) for path in parcel.source_paths]
            check_identity(result, sources, parcel.recorded, siblings)
        except (IdentityMismatch, ArchiveError, FileNotFoundError, InvalidDicomError) as error:
            self._hold(parcel, str(error))
            return False
        return True

    def _send(self, destination: str, parcels: Sequence[_Parcel]) -> None:
        if not parcels:
            return
        peer = self._peer(destination)
        if peer is None:
            for parcel in parcels:
                self._bury(parcel, _unknown_peer(destination))
            return
        waiting = {self._archive.path_of(parcel.result_path): parcel for parcel in parcels}
        try:
            for answer in self._answers(peer, list(waiting)):
                self._note(waiting.pop(answer.path), answer)
        except DeliveryDelayed as delay:
            for parcel in waiting.values():
                self._delay(parcel, str(delay))

    def _answers(self, peer: Peer, paths: Sequence[Path]) -> Iterator[StoreAnswer]:
        timeout = self._settings.delivery.timeout_seconds
        return send_instances(self._settings.node.ae_title, peer.address, paths, timeout)

    def _peer(self, destination: str) -> Peer | None:
        if destination.startswith(f"{SENDER}:"):
            return self._settings.peer_with_title(destination.removeprefix(f"{SENDER}:"))
        return self._settings.peers.get(destination)

    def _note(self, parcel: _Parcel, answer: StoreAnswer) -> None:
        match classify(answer.status):
            case Fate.SENT:
                self._finish(parcel, answer.text)
            case Fate.DEAD:
                self._bury(parcel, answer.text)
            case Fate.RETRY:
                self._delay(parcel, answer.text)

    def _finish(self, parcel: _Parcel, answer: str) -> None:
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += 1
            delivery.sent_at = self._clock.now()
            self._move(session, delivery, DeliveryState.SENT, answer)
            self._event(session, EventName.DELIVERY_SENT, delivery)

    def _delay(self, parcel: _Parcel, answer: str) -> None:
        """Try again later, or give up after the attempts allowed."""
        limits = self._settings.delivery
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += 1
            if delivery.attempts >= limits.attempts:
                self._move(session, delivery, DeliveryState.DEAD, answer)
                self._event(session, EventName.DELIVERY_DEAD, delivery)
                return
            doubled = limits.first_retry_seconds * 2.0 ** min(delivery.attempts - 1, 30)
            seconds = min(doubled, limits.longest_retry_seconds) * self._jitter.uniform(0.8, 1.2)
            delivery.due_at = self._clock.now() + timedelta(seconds=seconds)
            self._move(session, delivery, DeliveryState.RETRYING, answer)
            self._event(session, EventName.DELIVERY_DELAYED, delivery)

    def _bury(self, parcel: _Parcel, answer: str) -> None:
        """Give up on a delivery that can never succeed as things are."""
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += 1
            self._move(session, delivery, DeliveryState.DEAD, answer)
            self._event(session, EventName.DELIVERY_DEAD, delivery)

    def _hold(self, parcel: _Parcel, reason: str) -> None:
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            self._move(session, delivery, DeliveryState.DEAD, reason)
            self._event(session, EventName.DELIVERY_DEAD, delivery)
            hold_study(session, self._clock, delivery.result.job.study, reason)

    def _move(self, session: Session, delivery: Delivery, state: DeliveryState, answer: str) -> None:
        delivery.move(state)
        delivery.answer = answer
        derive_progress(session, delivery.result.job.study)

    def _event(self, session: Session, name: EventName, delivery: Delivery) -> None:
        fields = {"destination": delivery.destination, "attempt": delivery.attempts}
        record_event(session, self._clock.now(), name, delivery, **fields)


def resend(database: Database, clock: Clock, delivery_ids: Sequence[int]) -> int:
    """Queue deliveries again, dead or sent, as if new; return how many there were."""
    with database.writing() as session:
        chosen = session.scalars(select(Delivery).where(Delivery.id.in_(delivery_ids))).all()
        ended = [delivery for delivery in chosen if delivery.state not in _WAITING]
        for delivery in ended:
            delivery.move(DeliveryState.PENDING)
            delivery.attempts, delivery.due_at, delivery.sent_at = 0, clock.now(), None
            record_event(session, clock.now(), EventName.DELIVERY_RESENT, delivery)
            derive_progress(session, delivery.result.job.study)
        return len(ended)


def _parcel(delivery: Delivery) -> _Parcel:
    job = delivery.result.job
    return _Parcel(
        delivery_id=delivery.id,
        destination=delivery.destination,
        result_path=delivery.result.path,
        sibling_paths=tuple(result.path for result in job.results if result is not delivery.result),
        source_paths=tuple(entry.instance.path for entry in job.inputs),
        recorded=job.study.identity,
    )


def _unknown_peer(destination: str) -> str:
    return (
        f"no peer for {destination!r} in peers.toml; add one with this AE title, restart the node and run "
        "`radnode deliveries resend`"
    )
