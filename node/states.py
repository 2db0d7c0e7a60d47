"""Study, job, delivery and commitment states, and the only moves allowed between them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

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
    CANCELLED = "cancelled"
    REMOVED = "removed"


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
    COMMITTED = "committed"
    DEAD = "dead"


class CommitmentState(StrEnum):
    """Where a peer's request that we commit ourselves to keep instances stands."""

    ASKED = "asked"
    JUDGED = "judged"
    REPORTED = "reported"
    UNREPORTED = "unreported"


State = StudyState | JobState | DeliveryState | CommitmentState

_S, _J, _D, _C = StudyState, JobState, DeliveryState, CommitmentState
# Where the jobs and deliveries of a study may put it, from any of these to any other.
_DERIVED = frozenset({_S.UNMATCHED, _S.ANALYSING, _S.DONE, _S.ATTENTION})

# One table for each kind: members of two of them that are the same word count as equal.
STUDY_MOVES: dict[StudyState, frozenset[StudyState]] = {
    _S.RECEIVING: frozenset({_S.COMPLETE, _S.HELD, _S.CANCELLED}),
    _S.COMPLETE: _DERIVED | {_S.RECEIVING, _S.HELD, _S.CANCELLED},
    _S.UNMATCHED: _DERIVED | {_S.RECEIVING, _S.COMPLETE, _S.HELD, _S.CANCELLED, _S.REMOVED},
    _S.ANALYSING: _DERIVED | {_S.RECEIVING, _S.COMPLETE, _S.HELD, _S.CANCELLED},
    _S.DONE: _DERIVED | {_S.RECEIVING, _S.COMPLETE, _S.HELD, _S.CANCELLED, _S.REMOVED},
    _S.ATTENTION: _DERIVED | {_S.RECEIVING, _S.COMPLETE, _S.HELD, _S.CANCELLED},
    _S.HELD: _DERIVED | {_S.RECEIVING, _S.COMPLETE, _S.CANCELLED},
    _S.CANCELLED: frozenset({_S.RECEIVING, _S.COMPLETE, _S.ANALYSING, _S.HELD, _S.REMOVED}),
    _S.REMOVED: frozenset({_S.RECEIVING}),
}

JOB_MOVES: dict[JobState, frozenset[JobState]] = {
    _J.QUEUED: frozenset({_J.RUNNING, _J.CANCELLED}),
    _J.RUNNING: frozenset({_J.QUEUED, _J.DONE, _J.REFUSED, _J.FAILED, _J.CANCELLED}),
    _J.DONE: frozenset(),
    _J.REFUSED: frozenset({_J.QUEUED}),
    _J.FAILED: frozenset({_J.QUEUED}),
    _J.CANCELLED: frozenset({_J.QUEUED}),
}

DELIVERY_MOVES: dict[DeliveryState, frozenset[DeliveryState]] = {
    _D.PENDING: frozenset({_D.SENT, _D.RETRYING, _D.DEAD}),
    _D.RETRYING: frozenset({_D.SENT, _D.DEAD}),
    _D.SENT: frozenset({_D.COMMITTED, _D.RETRYING, _D.DEAD, _D.PENDING}),
    _D.COMMITTED: frozenset({_D.PENDING}),
    _D.DEAD: frozenset({_D.PENDING}),
}

# A peer that asks again what was reported, or could not be, gets another report.
COMMITMENT_MOVES: dict[CommitmentState, frozenset[CommitmentState]] = {
    _C.ASKED: frozenset({_C.JUDGED}),
    _C.JUDGED: frozenset({_C.REPORTED, _C.UNREPORTED}),
    _C.REPORTED: frozenset({_C.ASKED}),
    _C.UNREPORTED: frozenset({_C.ASKED}),
}

_MOVES: dict[type[State], Mapping[Any, frozenset[Any]]] = {
    StudyState: STUDY_MOVES,
    JobState: JOB_MOVES,
    DeliveryState: DELIVERY_MOVES,
    CommitmentState: COMMITMENT_MOVES,
}


def moves_from(state: State) -> frozenset[State]:
    """Return where a thing in this state may go."""
    return _MOVES[type(state)][state]


def check_move(current: State, new: State) -> None:
    """Raise IllegalMove unless a thing in state `current` may go to state `new`."""
    if new != current and new not in moves_from(current):
        allowed = ", ".join(sorted(moves_from(current))) or "none"
        raise IllegalMove(f"{current} cannot become {new}; allowed from {current}: {allowed}")
