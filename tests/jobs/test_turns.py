"""Whose job goes next: priorities, senders that take turns, workers that claim at once, jobs a person cancels."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.database import Database, Delivery, Job, Study
from node.errors import IllegalMove, LeaseLost
from node.jobs.progress import hold_study, release_hold
from node.jobs.queue import Claim, JobOrder, JobQueue, StoredResult, add_job, cancel_job, requeue_job
from node.states import JobState, StudyState
from node.vocabulary import ModelIdentity

MODEL = ModelIdentity("chest_dx_lungs", "Lungs", "1", "a" * 64)


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    """A study without jobs."""
    side = gathering(tmp_path, rules=())
    side.bring(received(1))
    side.complete()
    return side


def order(side: Gathering, sender: str, number: int, priority: int = 0) -> None:
    """Queue one more job of a sender."""
    with side.database.writing() as session:
        order = JobOrder(
            study_id=1,
            inputs=(("image", 1),),
            sender=sender,
            priority=priority,
            revision=1,
            model=MODEL,
            inputs_digest=f"{sender} {number}",
            destinations=("PACS",),
        )
        assert add_job(session, side.clock, order) is not None


def claimed(side: Gathering) -> Claim:
    claim = side.queue.claim("worker-1")
    assert claim is not None
    return claim


def senders(side: Gathering, count: int) -> list[str]:
    """Claim so many jobs and return whose they were."""
    ids = [claimed(side).job_id for _ in range(count)]
    with side.database.reading() as session:
        return [session.get_one(Job, job_id).sender for job_id in ids]


def job(side: Gathering) -> Job:
    with side.database.reading() as session:
        return session.scalars(select(Job).order_by(Job.id)).one()


def test_a_sender_that_floods_the_node_delays_two_small_ones_by_one_job_each(side: Gathering) -> None:
    for number in range(100):
        order(side, "FLOOD", number)
    assert senders(side, 3) == ["FLOOD"] * 3
    order(side, "SMALL1", 1)
    order(side, "SMALL2", 1)
    assert set(senders(side, 3)) == {"FLOOD", "SMALL1", "SMALL2"}
    order(side, "SMALL1", 2)
    assert "SMALL1" in senders(side, 2)


def test_senders_that_all_have_much_take_turns(side: Gathering) -> None:
    for sender in ("A", "B", "C"):
        for number in range(20):
            order(side, sender, number)
    assert Counter(senders(side, 30)) == {"A": 10, "B": 10, "C": 10}


def test_a_sender_that_was_away_does_not_claim_the_time_it_did_not_use(side: Gathering) -> None:
    order(side, "NEW", 0)
    for number in range(20):
        order(side, "STEADY", number)
    senders(side, 21)
    for number in range(20, 40):
        order(side, "STEADY", number)
        order(side, "NEW", number)
    assert Counter(senders(side, 20)) == {"STEADY": 10, "NEW": 10}


def test_yesterdays_busy_sender_is_not_punished_today(side: Gathering) -> None:
    for number in range(50):
        order(side, "BUSY", number)
    senders(side, 50)
    for number in range(10):
        order(side, "OTHER", number)
        order(side, "BUSY", 100 + number)
    assert Counter(senders(side, 10)) == {"OTHER": 5, "BUSY": 5}


def test_an_urgent_job_goes_before_everything_less_urgent(side: Gathering) -> None:
    for number in range(10):
        order(side, "FLOOD", number, priority=2)
    order(side, "ROUTINE", 1, priority=2)
    order(side, "FLOOD", 100, priority=0)
    order(side, "OTHER", 1, priority=1)
    assert senders(side, 2) == ["FLOOD", "OTHER"]
    with side.database.reading() as session:
        ran = session.scalars(select(Job.inputs_digest).where(Job.state == JobState.RUNNING)).all()
    assert set(ran) == {"FLOOD 100", "OTHER 1"}


def test_workers_that_claim_at_the_same_time_never_get_the_same_job(side: Gathering) -> None:
    for number in range(40):
        order(side, "XRAY", number)

    def work(worker: str) -> list[int]:
        database = Database(side.database.path)
        queue = JobQueue(database, side.clock, 30.0, 3)
        ids = []
        while (claim := queue.claim(worker)) is not None:
            ids.append(claim.job_id)
            queue.finish(claim, [])
        database.close()
        return ids

    with ThreadPoolExecutor(4) as workers:
        ids = [job_id for done in workers.map(work, ["w1", "w2", "w3", "w4"]) for job_id in done]
    assert sorted(ids) == list(range(1, 41))


def test_a_running_job_that_is_cancelled_fences_its_worker_off(side: Gathering) -> None:
    order(side, "XRAY", 1)
    claim = claimed(side)
    with side.database.writing() as session:
        cancel_job(session, side.clock, session.scalars(select(Job)).one(), "by a person")
    with pytest.raises(LeaseLost):
        side.queue.renew(claim)
    with pytest.raises(LeaseLost):
        side.queue.finish(claim, [])
    assert side.queue.claim("worker-2") is None
    assert (job(side).state, job(side).reason) == (JobState.CANCELLED, "by a person")


def test_a_job_that_failed_can_be_queued_again_with_all_its_attempts(side: Gathering) -> None:
    order(side, "XRAY", 1)
    for _ in range(3):
        side.queue.fail(claimed(side), "MemoryError: ")
    assert job(side).state is JobState.FAILED
    with side.database.writing() as session:
        requeue_job(session, side.clock, session.scalars(select(Job)).one())
    assert (job(side).attempts, job(side).reason, job(side).finished_at) == (0, "", None)
    side.queue.fail(claimed(side), "again")
    assert job(side).state is JobState.QUEUED


def test_a_destination_gets_only_the_kinds_of_results_it_wants(side: Gathering) -> None:
    order(side, "XRAY", 1)
    queue = JobQueue(side.database, side.clock, 30.0, 3, wants=lambda name, kind: (name, kind) == ("PACS", "text"))
    claim = queue.claim("worker-1")
    assert claim is not None
    kinds = ("text", "seg")
    queue.finish(claim, [StoredResult(kind, "1.2", f"2.25.{kind}", "2.25.0", f"r/{kind}", "00") for kind in kinds])
    with side.database.reading() as session:
        deliveries = session.scalars(select(Delivery)).all()
        assert [delivery.result.kind for delivery in deliveries] == ["text"]


@pytest.mark.parametrize("state", [StudyState.RECEIVING, StudyState.UNMATCHED])
def test_a_released_study_is_where_it_was_held_from(side: Gathering, state: StudyState) -> None:
    with side.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.state = state
        hold_study(session, side.clock, study, "look at it")
        assert (study.state, study.held_from) == (StudyState.HELD, state)
        release_hold(session, study)
        assert (study.state, study.reason, study.held_from) == (state, "", "")


def test_a_study_released_after_its_jobs_ended_is_where_they_are(side: Gathering) -> None:
    order(side, "XRAY", 1)
    claim = claimed(side)
    with side.database.writing() as session:
        hold_study(session, side.clock, session.scalars(select(Study)).one(), "look at it")
    side.queue.finish(claim, [])
    with side.database.writing() as session:
        study = session.scalars(select(Study)).one()
        assert study.state is StudyState.HELD
        release_hold(session, study)
        assert study.state is StudyState.DONE


def test_a_study_that_is_not_held_cannot_be_released(side: Gathering) -> None:
    with side.database.writing() as session, pytest.raises(IllegalMove, match="only a held study"):
        release_hold(session, session.scalars(select(Study)).one())
