"""Study, job and delivery states, and the only moves allowed between them."""

from __future__ import annotations

from enum import StrEnum

from node.errors import IllegalMove


class StudyState(StrEnum):
    """Where a study stands; derived from its jobs and deliveries once it is complete."""

    RECEIVING = "receiving"
    COMPLETE = "complete"
    UNMATCHED = "unmatched"
    ANALYSING = "analysing"
    DONE = "done"
    ATTENTION = "attention"
    HELD = "held"


class JobState(StrEnum):
    """Where one model's run on one input stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    CANCELLED = "cancelled"


class DeliveryState(StrEnum):
    """Where one result object on its way to one destination stands."""

    PENDING = "pending"
    RETRYING = "retrying"
    SENT = "sent"
    DEAD = "dead"


State = StudyState | JobState | DeliveryState

_S, _J, _D = StudyState, JobState, DeliveryState

MOVES: dict[State, frozenset[State]] = {
    _S.RECEIVING: frozenset({_S.COMPLETE, _S.HELD}),
    _S.COMPLETE: frozenset({_S.RECEIVING, _S.UNMATCHED, _S.ANALYSING, _S.DONE, _S.ATTENTION, _S.HELD}),
    _S.UNMATCHED: frozenset({_S.RECEIVING, _S.HELD}),
    _S.ANALYSING: frozenset({_S.RECEIVING, _S.DONE, _S.ATTENTION, _S.HELD}),
    _S.DONE: frozenset({_S.RECEIVING, _S.ANALYSING, _S.ATTENTION, _S.HELD}),
    _S.ATTENTION: frozenset({_S.RECEIVING, _S.ANALYSING, _S.DONE, _S.HELD}),
    _S.HELD: frozenset(),
    _J.QUEUED: frozenset({_J.RUNNING, _J.CANCELLED}),
    _J.RUNNING: frozenset({_J.QUEUED, _J.DONE, _J.REFUSED, _J.FAILED, _J.CANCELLED}),
    _J.DONE: frozenset(),
    _J.REFUSED: frozenset(),
    _J.FAILED: frozenset(),
    _J.CANCELLED: frozenset(),
    _D.PENDING: frozenset({_D.SENT, _D.RETRYING, _D.DEAD}),
    _D.RETRYING: frozenset({_D.SENT, _D.DEAD}),
    _D.SENT: frozenset({_D.PENDING}),
    _D.DEAD: frozenset({_D.PENDING}),
}


def check_move(current: State, new: State) -> None:
    """Raise IllegalMove unless a thing in state `current` may go to state `new`."""
    if new != current and new not in MOVES[current]:
        allowed = ", ".join(sorted(MOVES[current])) or "none"
        raise IllegalMove(f"{current} cannot become {new}; allowed from {current}: {allowed}")
