"""What peers ask us to commit ourselves to: on record before the answer, and until our report is answered."""

from __future__ import annotations

import hashlib

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import Commitment, CommitmentReference, Database, EventName, record_event
from node.errors import TooMuchAsked, TransactionReused, UnknownPeer
from node.settings import Settings
from node.states import CommitmentState
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference

MOST_OPEN = 1000  # requests of one peer that are not reported yet; it should wait for some reports first
OPEN = (CommitmentState.ASKED, CommitmentState.JUDGED)


class RequestBook:
    """Records requests, each in one durable transaction."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        """Take requests of the peers in `settings`, for only to these can we report."""
        self._database = database
        self._settings = settings
        self._clock = clock

    def take_request(self, calling_ae_title: str, request: CommitmentRequest) -> None:
        """Return once the request is on record; one that is open already changes nothing, one that ended opens again.

        Raises UnknownPeer, TooMuchAsked, and TransactionReused where the transaction UID is known with other
        instances.
        """
        if self._settings.peer_with_title(calling_ae_title) is None:
            raise UnknownPeer(f"add {calling_ae_title} to peers.toml: no address to report to")
        with self._database.writing() as session:
            known = session.scalar(
                select(Commitment).where(
                    Commitment.calling_ae_title == calling_ae_title,
                    Commitment.transaction_uid == request.transaction_uid,
                )
            )
            if known is not None and known.digest != _digest(request):
                raise TransactionReused("Transaction UID: found in use for other instances; use a new one")
            if known is None or known.state not in OPEN:
                _check_open(session, calling_ae_title)
                self._open(session, known or self._new(session, calling_ae_title, request), request)

    def _new(self, session: Session, calling_ae_title: str, request: CommitmentRequest) -> Commitment:
        now = self._clock.now()
        commitment = Commitment(
            calling_ae_title=calling_ae_title,
            transaction_uid=request.transaction_uid,
            digest=_digest(request),
            state=CommitmentState.ASKED,
            asked_at=now,
            due_at=now,
        )
        session.add(commitment)
        session.flush()
        return commitment

    def _open(self, session: Session, commitment: Commitment, request: CommitmentRequest) -> None:
        commitment.move(CommitmentState.ASKED)
        commitment.attempts, commitment.answer = 0, ""
        commitment.asked_at = commitment.due_at = self._clock.now()
        rows = [{"commitment_id": commitment.id, **vars(reference)} for reference in request.references]
        session.execute(insert(CommitmentReference), rows)
        tell(session, self._clock, EventName.COMMITMENT_RECEIVED, commitment, instances=len(rows))


def report_on(session: Session, commitment: Commitment) -> CommitmentReport:
    """Return the report on a request that is judged."""
    committed: list[InstanceReference] = []
    failed: dict[InstanceReference, int] = {}
    columns = (CommitmentReference.sop_class_uid, CommitmentReference.sop_instance_uid)
    rows = session.execute(
        select(*columns, CommitmentReference.failure_reason)
        .where(CommitmentReference.commitment_id == commitment.id)
        .order_by(CommitmentReference.id)
    )
    for sop_class_uid, sop_instance_uid, failure_reason in rows:
        reference = InstanceReference(sop_class_uid, sop_instance_uid)
        if failure_reason:
            failed[reference] = failure_reason
        else:
            committed.append(reference)
    return CommitmentReport(commitment.transaction_uid, tuple(committed), failed)


def close_request(session: Session, commitment: Commitment, state: CommitmentState) -> None:
    """Let a request end; what it named goes, for a peer that asks again names it again."""
    commitment.move(state)
    session.execute(delete(CommitmentReference).where(CommitmentReference.commitment_id == commitment.id))


def tell(session: Session, clock: Clock, name: EventName, commitment: Commitment, **detail: int | str) -> None:
    """Record what became of a request."""
    about = {"peer": commitment.calling_ae_title, "transaction_uid": commitment.transaction_uid}
    record_event(session, clock.now(), name, None, **about, **detail)


def _check_open(session: Session, calling_ae_title: str) -> None:
    its_open = (Commitment.calling_ae_title == calling_ae_title, Commitment.state.in_(OPEN))
    if (session.scalar(select(func.count(Commitment.id)).where(*its_open)) or 0) >= MOST_OPEN:
        raise TooMuchAsked(f"{MOST_OPEN} requests of this peer are not reported yet; wait")


def _digest(request: CommitmentRequest) -> str:
    """Return what tells requests apart: the SHA-256 (hex) over the instances, in whatever order."""
    named = sorted(f"{reference.sop_class_uid} {reference.sop_instance_uid}" for reference in request.references)
    return hashlib.sha256("\n".join(named).encode()).hexdigest()
