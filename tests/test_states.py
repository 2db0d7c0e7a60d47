"""Every state and every move between two of them."""

import pytest

from node.errors import IllegalMove
from node.states import MOVES, DeliveryState, JobState, StudyState, check_move


def test_every_state_has_its_row_of_moves() -> None:
    assert set(MOVES) == {*StudyState, *JobState, *DeliveryState}


def test_no_move_crosses_from_one_kind_of_state_to_another() -> None:
    assert all(type(new) is type(current) for current, allowed in MOVES.items() for new in allowed)


def test_a_finished_job_never_runs_again() -> None:
    with pytest.raises(IllegalMove, match=r"done cannot become running; allowed from done: none"):
        check_move(JobState.DONE, JobState.RUNNING)


def test_staying_where_one_is_is_no_move() -> None:
    check_move(JobState.DONE, JobState.DONE)


def test_a_dead_delivery_may_be_sent_again_by_a_person() -> None:
    check_move(DeliveryState.DEAD, DeliveryState.PENDING)
