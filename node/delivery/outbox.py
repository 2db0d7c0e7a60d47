"""The outbox: result objects that wait for a destination, sent with patience and never silently lost."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from sqlalchemy import ColumnElement, func, or_, select, update
from sqlalchemy.orm import Session

from node import faults
from node.archive import Archive
from node.clock import Clock
from node.database import Database, Delivery, EventName, Job, Prepared, Result, Study, record_event
from node.database.due import is_due
from node.delivery.destinations import paused_destinations
from node.delivery.patience import Breakers, wait_seconds
from node.delivery.scu import Fate, StoreAnswer, classify, echo, send_instances
from node.errors import ArchiveError, DeliveryDelayed, DeliveryRefused, IdentityMismatch, PeerUnreachable
from node.faults import FaultPoint
from node.jobs.progress import STOPPED, derive_progress, hold_study
from node.logs import log_failure
from node.peers import Peer
from node.results.identity import check_identity
from node.results.predecessors import earlier_reports
from node.settings import Settings
from node.states import DeliveryState
from node.vocabulary import EarlierReport, StudyIdentity

logger = logging.getLogger("radnode.delivery")

BATCH = 50  # objects sent over one association before the outbox looks again

_WAITING = (DeliveryState.PENDING, DeliveryState.RETRYING)
_ANY_WAITING = Prepared(select(Delivery.id).where(or_(*(Delivery.state == state for state in _WAITING))).limit(1))
_EVENTS = {
    DeliveryState.SENT: EventName.DELIVERY_SENT,
    DeliveryState.RETRYING: EventName.DELIVERY_DELAYED,
    DeliveryState.DEAD: EventName.DELIVERY_DEAD,
}


@dataclass(frozen=True)
class _Parcel:
    """A result object to send, where it lies, and what it must agree with."""

    delivery_id: int
    destination: str
    result_path: str
    sibling_paths: tuple[str, ...]
    source_paths: tuple[str, ...]
    recorded: StudyIdentity
    replaces: tuple[EarlierReport, ...]


@dataclass(frozen=True)
class _Outcome:
    """What came of trying to send a parcel, for its row, and the peer's status, if there was one."""

    text: str
    status: str = ""


class _Headers:
    """Headers as they lie on disk when a batch is sent: its parcels share most sources and siblings."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._read: dict[str, Dataset] = {}

    def of(self, paths: Sequence[str]) -> list[Dataset]:
        """Return the data sets up to their pixels, each read once."""
        unread = [path for path in dict.fromkeys(paths) if path not in self._read]
        self._read |= zip(unread, self._archive.read_all(unread, pixels=False), strict=True)
        return [self._read[path] for path in paths]


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
        self._breakers = Breakers(settings.delivery, jitter)
        self._stopping = threading.Event()

    def peers_due(self) -> set[str]:
        """Return the peers to send to now, by their names in peers.toml.

        A destination that names no peer is given as it is. One that could not be reached is due when
        its next attempt is, as long as anything waits for it.
        """
        failing = {name for name, breaker in self._breakers.items() if breaker.is_failing}
        if not failing and not self._database.ask(_ANY_WAITING):
            return set()
        with self._database.reading() as session:
            rows = session.scalars(_of_running_studies(select(Delivery.destination)).where(self._is_due()).distinct())
            due = {self._settings.peer_name(destination) for destination in rows}
            paused = paused_destinations(session)
        now = self._clock.boot_seconds()
        return {name for name in due | failing if name not in paused and not self._breakers[name].is_waiting(now)}

    def send_due(self, peer_name: str) -> int:
        """Try what is due for one peer over one association; return how many objects were tried.

        A peer that failed last time is asked for one object only, or echoed when none is due.
        """
        breaker = self._breakers[peer_name]
        if breaker.is_waiting(self._clock.boot_seconds()):
            return 0
        parcels = self._due(peer_name, 1 if breaker.is_failing else BATCH)
        peer = self._settings.peers.get(peer_name)
        if peer is None:
            for parcel in parcels:
                self._bury(parcel, _Outcome(_unknown_peer(peer_name)))
        elif parcels:
            headers = _Headers(self._archive)
            self._send(peer_name, peer, [parcel for parcel in parcels if self._is_safe(parcel, headers)])
        elif breaker.is_failing:
            self._probe(peer_name, peer)
        return len(parcels)

    def note_failure(self, peer_name: str) -> None:
        """Give a destination a pause after something went wrong with it."""
        self._breakers[peer_name].note_failure(self._clock.boot_seconds())

    def stop(self) -> None:
        """Begin no other object; what is on the wire is finished."""
        self._stopping.set()

    def _is_due(self) -> ColumnElement[bool]:
        return is_due(Delivery.due_at, self._clock.now(), self._settings.delivery.longest_retry_seconds)

    def _due(self, peer_name: str, limit: int) -> list[_Parcel]:
        with self._database.reading() as session:
            if peer_name in paused_destinations(session):
                return []
            due = session.scalars(
                _of_running_studies(select(Delivery))
                .where(Delivery.destination.in_(self._aliases(session, peer_name)), self._is_due())
                .order_by(Delivery.id)
                .limit(limit)
            ).all()
            return [_parcel(delivery) for delivery in due]

    def _aliases(self, session: Session, peer_name: str) -> list[str]:
        """Return the destinations that mean this peer."""
        waiting = session.scalars(select(Delivery.destination).where(Delivery.state.in_(_WAITING)).distinct())
        return [destination for destination in waiting if self._settings.peer_name(destination) == peer_name]

    def _is_safe(self, parcel: _Parcel, headers: _Headers) -> bool:
        """Read result and source again and compare them with the database; hold the study if they differ."""
        try:
            result = self._archive.read(parcel.result_path)
            siblings, sources = headers.of(parcel.sibling_paths), headers.of(parcel.source_paths)
            check_identity(result, sources, parcel.recorded, siblings, parcel.replaces)
        except (IdentityMismatch, ArchiveError, FileNotFoundError, InvalidDicomError) as error:
            self._hold(parcel, str(error))
            return False
        except Exception as error:  # noqa: BLE001 - one result must not keep the others from being sent
            self._note_fault(parcel, error)
            return False
        return True

    def _send(self, peer_name: str, peer: Peer, parcels: Sequence[_Parcel]) -> None:
        """Send parcels over one association and note each answer; those without one wait."""
        if not parcels:
            return
        waiting = {self._archive.path_of(parcel.result_path): parcel for parcel in parcels}
        timeout_seconds = self._settings.delivery.timeout_seconds
        try:
            answers = send_instances(self._settings.node.ae_title, peer.address, list(waiting), timeout_seconds)
            with closing(answers):
                for answer in answers:
                    faults.reach(FaultPoint.DELIVERY_ANSWERED)
                    self._note(waiting.pop(answer.path), answer)
                    if self._stopping.is_set() or self._is_stopped(list(waiting.values())):
                        return
        except DeliveryDelayed as delay:
            self.note_failure(peer_name)
            on_the_wire = [] if isinstance(delay, PeerUnreachable) else list(waiting.values())[:1]
            for parcel in waiting.values():
                self._delay(parcel, _Outcome(str(delay)), is_attempt=parcel in on_the_wire)
        except Exception as error:  # noqa: BLE001 - what cannot be sent is on its row, the others go on
            self.note_failure(peer_name)
            for parcel in waiting.values():
                self._note_fault(parcel, error)
        else:
            self._note_reached(peer_name)

    def _is_stopped(self, parcels: Sequence[_Parcel]) -> bool:
        """Tell whether a person, or a second patient, has stopped a study whose results are about to go."""
        ids = [parcel.delivery_id for parcel in parcels]
        with self._database.reading() as session:
            going = _of_running_studies(select(func.count(Delivery.id))).where(Delivery.id.in_(ids))
            return bool(session.scalar(going) != len(ids))

    def _probe(self, peer_name: str, peer: Peer) -> None:
        """Ask a peer that failed whether it is back, when nothing is due that would show it."""
        with self._database.reading() as session:
            if not self._aliases(session, peer_name):
                self._breakers[peer_name].note_success()
                return
        try:
            echo(self._settings.node.ae_title, peer.address, self._settings.delivery.timeout_seconds)
        except DeliveryDelayed:
            self.note_failure(peer_name)
            return
        except DeliveryRefused:  # it is back, and knows no C-ECHO
            pass
        self._note_reached(peer_name)

    def _note_reached(self, peer_name: str) -> None:
        """After failures, try at once everything that was put off because of them."""
        breaker = self._breakers[peer_name]
        if not breaker.is_failing:
            return
        breaker.note_success()
        with self._database.writing() as session:
            put_off = Delivery.destination.in_(self._aliases(session, peer_name))
            retrying = Delivery.state == DeliveryState.RETRYING
            session.execute(update(Delivery).where(put_off, retrying).values(due_at=self._clock.now()))
        logger.info("destination is back", extra={"fields": {"destination": peer_name}})

    def _note(self, parcel: _Parcel, answer: StoreAnswer) -> None:
        outcome = _Outcome(answer.text, f"{answer.status:04X}")
        match classify(answer.status):
            case Fate.SENT:
                self._finish(parcel, outcome)
            case Fate.DEAD:
                self._bury(parcel, outcome)
            case Fate.RETRY:
                self._delay(parcel, outcome)

    def _finish(self, parcel: _Parcel, outcome: _Outcome) -> None:
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += 1
            delivery.sent_at = self._clock.now()
            delivery.askings = 0
            is_wanted = self._settings.wants_commitment(delivery.destination)
            delivery.commitment_due_at = delivery.sent_at if is_wanted else None
            self._move(session, delivery, DeliveryState.SENT, outcome)

    def _delay(self, parcel: _Parcel, outcome: _Outcome, is_attempt: bool = True) -> None:
        """Try again later, or give up after the attempts allowed.

        What was not even tried, as its destination is down, waits as long as that takes.
        """
        limits = self._settings.delivery
        failures = self._breakers[self._settings.peer_name(parcel.destination)].failures
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += is_attempt
            if delivery.attempts >= limits.attempts:
                self._move(session, delivery, DeliveryState.DEAD, outcome)
                return
            seconds = wait_seconds(limits, delivery.attempts if is_attempt else failures, self._jitter)
            delivery.due_at = self._clock.now() + timedelta(seconds=seconds)
            self._move(session, delivery, DeliveryState.RETRYING, outcome)

    def _note_fault(self, parcel: _Parcel, error: Exception) -> None:
        log_failure(logger, "delivery failed", error, delivery=parcel.delivery_id)
        self._delay(parcel, _Outcome(f"radnode failed ({type(error).__name__}); see its log"))

    def _bury(self, parcel: _Parcel, outcome: _Outcome) -> None:
        """Give up on a delivery that can never succeed as things are."""
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            delivery.attempts += 1
            self._move(session, delivery, DeliveryState.DEAD, outcome)

    def _hold(self, parcel: _Parcel, reason: str) -> None:
        with self._database.writing() as session:
            delivery = session.get_one(Delivery, parcel.delivery_id)
            self._move(session, delivery, DeliveryState.DEAD, _Outcome(reason))
            hold_study(session, self._clock, delivery.result.job.study, reason)

    def _move(self, session: Session, delivery: Delivery, state: DeliveryState, outcome: _Outcome) -> None:
        """Let a delivery and its study be where they are now, and tell; a peer's comment stays out of the log."""
        delivery.move(state)
        delivery.answer = outcome.text
        derive_progress(session, delivery.result.job.study)
        detail = {"destination": delivery.destination, "attempt": delivery.attempts}
        status = {"status": outcome.status} if outcome.status else {}
        record_event(session, self._clock.now(), _EVENTS[state], delivery, **detail, **status)


def resend(database: Database, clock: Clock, delivery_ids: Sequence[int]) -> int:
    """Queue deliveries again, dead, sent or committed, as if new; return how many there were.

    Those whose results have left the disk are left out.
    """
    with database.writing() as session:
        chosen = session.scalars(select(Delivery).where(Delivery.id.in_(delivery_ids))).all()
        ended = [delivery for delivery in chosen if delivery.state not in _WAITING and delivery.result.path]
        for delivery in ended:
            delivery.move(DeliveryState.PENDING)
            delivery.attempts = delivery.askings = delivery.denials = 0
            delivery.due_at, delivery.sent_at = clock.now(), None
            delivery.commitment_due_at = delivery.committed_at = None
            record_event(session, clock.now(), EventName.DELIVERY_RESENT, delivery)
            derive_progress(session, delivery.result.job.study)
        return len(ended)


def _of_running_studies(query: Any) -> Any:
    """Narrow a query of deliveries to those that wait and whose study nobody holds or has cancelled."""
    joined = query.join(Delivery.result).join(Result.job).join(Job.study)
    return joined.where(Delivery.state.in_(_WAITING), Study.state.not_in(STOPPED))


def _parcel(delivery: Delivery) -> _Parcel:
    job = delivery.result.job
    return _Parcel(
        delivery_id=delivery.id,
        destination=delivery.destination,
        result_path=delivery.result.path,
        sibling_paths=tuple(result.path for result in job.results if result is not delivery.result),
        source_paths=tuple(entry.instance.path for entry in job.inputs),
        recorded=job.study.identity,
        replaces=earlier_reports(job),
    )


def _unknown_peer(destination: str) -> str:
    return (
        f"no peer for {destination!r} in peers.toml; add one with this AE title, restart the node and run "
        "`radnode deliveries resend`"
    )
