"""What a person decides about a study, and when it does not apply."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.database import Job
from node.errors import IllegalMove, UnknownStudy
from node.jobs.queue import Claim
from node.states import JobState
from node.studies.intervention import (
    cancel_study,
    complete_study,
    hold_study_by_hand,
    release_study,
    retry_study,
)
from node.studies.overview import describe_study

UID = "1.2.3"
VERBS = (cancel_study, complete_study, hold_study_by_hand, release_study, retry_study)


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return gathering(tmp_path)


def state(side: Gathering) -> str:
    return describe_study(side.database, UID).study.state


def last_events(side: Gathering, count: int = 1) -> list[str]:
    return [event.name for event in describe_study(side.database, UID).events][-count:]


def job_states(side: Gathering) -> list[str]:
    with side.database.reading() as session:
        return [str(job.state) for job in session.scalars(select(Job).order_by(Job.id))]


def analysing(side: Gathering) -> Gathering:
    side.bring(received(1))
    side.complete()
    return side


def claimed(side: Gathering) -> Claim:
    claim = side.queue.claim("worker-1")
    assert claim
    return claim


@pytest.mark.parametrize("verb", VERBS)
def test_a_study_nobody_knows_is_named(side: Gathering, verb: Callable[..., object]) -> None:
    with pytest.raises(UnknownStudy, match=r"study 9\.9: not in .*radnode studies list"):
        verb(side.database, side.clock, "9.9")


def test_a_person_may_declare_a_study_complete_although_an_association_hangs(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(), association)
    complete_study(side.database, side.clock, UID)
    assert side.complete(0) == 1
    event = next(e for e in describe_study(side.database, UID).events if e.name == "study complete")
    assert event.detail["reason"] == "completed by a person"


def test_an_instance_that_still_comes_takes_the_declaration_back(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(1), association)
    complete_study(side.database, side.clock, UID)
    side.index.record(received(2), association)
    assert side.complete(3600) == 0


def test_only_a_receiving_study_can_be_completed(side: Gathering) -> None:
    with pytest.raises(IllegalMove, match=r"study 1\.2\.3 is analysing; only a receiving study"):
        complete_study(analysing(side).database, side.clock, UID)


def test_a_cancelled_study_has_no_job_left_and_a_worker_that_runs_one_is_fenced_off(side: Gathering) -> None:
    side.bring(received(1), received(2))
    side.complete()
    claimed(side)
    assert cancel_study(side.database, side.clock, UID) == 2
    assert (state(side), job_states(side)) == ("cancelled", ["cancelled", "cancelled"])
    assert side.queue.claim("worker-2") is None
    assert last_events(side) == ["study cancelled"]


def test_a_late_instance_does_not_open_a_cancelled_study(side: Gathering) -> None:
    side.bring(received(1))
    cancel_study(side.database, side.clock, UID)
    side.bring(received(2))
    assert (state(side), side.complete(60)) == ("cancelled", 0)


def test_a_study_that_is_done_cannot_be_cancelled(side: Gathering) -> None:
    side.bring(received(BodyPartExamined="HIP"))
    side.complete()
    with pytest.raises(IllegalMove, match="unmatched; there is nothing to cancel"):
        cancel_study(side.database, side.clock, UID)


def test_failed_and_refused_jobs_run_again_with_all_their_attempts(side: Gathering) -> None:
    side.bring(received(1), received(2))
    side.complete()
    side.queue.refuse(claimed(side), "too dark")
    for _ in range(3):
        side.queue.fail(claimed(side), "died")
    assert (state(side), sorted(job_states(side))) == ("attention", ["failed", "refused"])
    assert retry_study(side.database, side.clock, UID) == 2
    assert (state(side), job_states(side)) == ("analysing", ["queued", "queued"])
    side.queue.fail(claimed(side), "died")
    assert "failed" not in job_states(side)


def test_what_is_retried_runs_the_model_that_is_installed_now(side: Gathering) -> None:
    analysing(side)
    for _ in range(3):
        side.queue.fail(claimed(side), "died")
    retry_study(side.database, side.clock, UID, {"chest_dx_lungs": "f" * 64})
    assert claimed(side).model_sha256 == "f" * 64


def test_a_study_without_failed_jobs_cannot_be_retried(side: Gathering) -> None:
    with pytest.raises(IllegalMove, match="analysing; no job failed"):
        retry_study(analysing(side).database, side.clock, UID)


def test_a_cancelled_study_that_is_retried_is_analysed_once(side: Gathering) -> None:
    analysing(side)
    cancel_study(side.database, side.clock, UID)
    assert retry_study(side.database, side.clock, UID) == 1
    side.complete()
    assert (state(side), job_states(side)) == ("analysing", ["queued"])


def test_a_study_cancelled_while_it_came_gathers_again_when_retried(side: Gathering) -> None:
    side.bring(received(1))
    cancel_study(side.database, side.clock, UID)
    side.bring(received(2))
    assert retry_study(side.database, side.clock, UID) == 0
    side.complete()
    assert job_states(side) == ["queued", "queued"]


def test_a_job_that_a_revision_did_not_want_stays_cancelled_when_the_study_is_retried(side: Gathering) -> None:
    analysing(side)
    with side.database.writing() as session:
        job = session.scalars(select(Job)).one()
        job.move(JobState.CANCELLED)
        job.reason = "not wanted by revision 2"
    cancel_study(side.database, side.clock, UID)
    assert retry_study(side.database, side.clock, UID) == 0


def test_a_held_study_waits_and_goes_on_where_it_was(side: Gathering) -> None:
    analysing(side)
    hold_study_by_hand(side.database, side.clock, UID, "wrong side marked")
    assert side.queue.claim("worker-1") is None
    assert describe_study(side.database, UID).study.reason == "wrong side marked"
    assert release_study(side.database, side.clock, UID) == "analysing"
    assert describe_study(side.database, UID).study.reason == ""
    assert last_events(side, 2) == ["study held", "study released"]
    assert claimed(side)


def test_a_study_held_while_it_came_gathers_again_when_released(side: Gathering) -> None:
    side.bring(received(1))
    hold_study_by_hand(side.database, side.clock, UID)
    assert side.complete(60) == 0
    assert release_study(side.database, side.clock, UID) == "receiving"
    assert side.complete(0) == 1


def test_instances_that_came_while_a_study_was_held_are_decided_after_its_release(side: Gathering) -> None:
    analysing(side)
    hold_study_by_hand(side.database, side.clock, UID)
    side.bring(received(2))
    assert state(side) == "held"
    assert release_study(side.database, side.clock, UID) == "receiving"
    side.complete()
    assert job_states(side) == ["queued", "queued"]


def test_a_study_of_two_patients_that_is_released_gathers(side: Gathering) -> None:
    analysing(side)
    side.bring(received(2, PatientID="P2"))
    assert state(side) == "held"
    assert release_study(side.database, side.clock, UID) == "receiving"


@pytest.mark.parametrize(
    ("verb", "message"),
    [
        (hold_study_by_hand, "held already: held by a person"),
        (retry_study, "release it first"),
        (complete_study, "only a receiving study"),
    ],
)
def test_what_does_not_apply_to_a_held_study_says_so(
    side: Gathering, verb: Callable[..., object], message: str
) -> None:
    analysing(side)
    hold_study_by_hand(side.database, side.clock, UID)
    with pytest.raises(IllegalMove, match=message):
        verb(side.database, side.clock, UID)


def test_only_a_held_study_can_be_released(side: Gathering) -> None:
    with pytest.raises(IllegalMove, match="only a held study can be released"):
        release_study(analysing(side).database, side.clock, UID)


def test_what_was_refused_changes_nothing(side: Gathering) -> None:
    before = describe_study(analysing(side).database, UID)
    for verb in (complete_study, release_study, retry_study):
        with pytest.raises(IllegalMove):
            verb(side.database, side.clock, UID)
    assert describe_study(side.database, UID) == before
