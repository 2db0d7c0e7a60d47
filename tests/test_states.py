"""Every state and every move between two of them."""

import pytest

from node.errors import IllegalMove
from node.states import (
    COMMITMENT_MOVES,
    DELIVERY_MOVES,
    JOB_MOVES,
    STUDY_MOVES,
    CommitmentState,
    DeliveryState,
    JobState,
    StudyState,
    check_move,
    moves_from,
)

# The drawing in ARCHITECTURE.md, move by move; the words stand in databases and in what operators read.
STUDIES = {
    "receiving": "cancelled complete held",
    "complete": "analysing attention cancelled done held receiving unmatched",
    "unmatched": "analysing attention cancelled complete done held receiving removed unmatched",
    "analysing": "analysing attention cancelled complete done held receiving unmatched",
    "done": "analysing attention cancelled complete done held receiving removed unmatched",
    "attention": "analysing attention cancelled complete done held receiving unmatched",
    "held": "analysing attention cancelled complete done receiving unmatched",
    "cancelled": "analysing complete held receiving removed",
    "removed": "receiving",
}
JOBS = {
    "queued": "cancelled running",
    "running": "cancelled done failed queued refused",
    "done": "",
    "refused": "queued",
    "failed": "queued",
    "cancelled": "queued",
}
DELIVERIES = {
    "pending": "dead retrying sent",
    "retrying": "dead sent",
    "sent": "committed dead pending retrying",
    "committed": "pending",
    "dead": "pending",
}
COMMITMENTS = {"asked": "judged", "judged": "reported unreported", "reported": "asked", "unreported": "asked"}
TABLES = {
    StudyState: STUDY_MOVES,
    JobState: JOB_MOVES,
    DeliveryState: DELIVERY_MOVES,
    CommitmentState: COMMITMENT_MOVES,
}


@pytest.mark.parametrize("kind", TABLES)
def test_every_state_has_its_row_of_moves(kind) -> None:
    assert list(map(repr, TABLES[kind])) == list(map(repr, kind))


@pytest.mark.parametrize(
    ("kind", "drawn"),
    [(StudyState, STUDIES), (JobState, JOBS), (DeliveryState, DELIVERIES), (CommitmentState, COMMITMENTS)],
)
def test_the_moves_are_those_that_are_drawn_and_no_others(kind, drawn: dict[str, str]) -> None:
    assert {str(state): " ".join(sorted(moves_from(state))) for state in kind} == drawn


@pytest.mark.parametrize("kind", TABLES)
def test_no_move_crosses_from_one_kind_of_state_to_another(kind) -> None:
    assert {type(new) for allowed in TABLES[kind].values() for new in allowed} == {kind}


def test_states_of_two_kinds_that_are_the_same_word_have_moves_of_their_own() -> None:
    check_move(StudyState.DONE, StudyState.RECEIVING)
    assert moves_from(JobState.DONE) == frozenset()
    check_move(StudyState.CANCELLED, StudyState.REMOVED)
    assert moves_from(JobState.CANCELLED) == {JobState.QUEUED}


def test_a_finished_job_never_runs_again() -> None:
    with pytest.raises(IllegalMove, match=r"done cannot become running; allowed from done: none$"):
        check_move(JobState.DONE, JobState.RUNNING)


def test_a_move_that_is_refused_says_which_are_not() -> None:
    with pytest.raises(IllegalMove, match=r"allowed from pending: dead, retrying, sent$"):
        check_move(DeliveryState.PENDING, "pendingx")  # type: ignore[arg-type]


def test_staying_where_one_is_is_no_move() -> None:
    check_move(JobState.DONE, JobState.DONE)


def test_a_dead_delivery_may_be_sent_again_by_a_person() -> None:
    check_move(DeliveryState.DEAD, DeliveryState.PENDING)


@pytest.mark.parametrize("state", sorted(set(StudyState) - {StudyState.HELD, StudyState.REMOVED}))
def test_a_study_is_held_from_anywhere_and_goes_back_to_where_it_was(state: StudyState) -> None:
    check_move(state, StudyState.HELD)
    check_move(StudyState.HELD, state)


@pytest.mark.parametrize("state", sorted(set(StudyState) - {StudyState.CANCELLED, StudyState.REMOVED}))
def test_a_person_may_cancel_a_study_from_anywhere(state: StudyState) -> None:
    check_move(state, StudyState.CANCELLED)


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.ANALYSING, StudyState.ATTENTION, StudyState.HELD])
def test_a_study_that_somebody_waits_for_is_never_removed(state: StudyState) -> None:
    with pytest.raises(IllegalMove):
        check_move(state, StudyState.REMOVED)
