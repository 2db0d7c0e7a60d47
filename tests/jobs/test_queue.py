"""Claims, leases, fence tokens, and what becomes of a study as its jobs end."""

from datetime import timedelta
from pathlib import Path

import pytest
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.database import Delivery, Embedding, Job, Result
from node.errors import LeaseLost
from node.jobs.queue import Claim, StoredResult
from node.states import DeliveryState, JobState
from node.studies.overview import describe_study

A_RESULT = StoredResult("segmentation", "1.2", "2.25.1", "2.25.0", "results/1.dcm", "00")


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    side = gathering(tmp_path)
    side.bring(received(1))
    side.complete()
    return side


def claimed(side: Gathering, worker: str = "worker-1") -> Claim:
    claim = side.queue.claim(worker)
    assert claim is not None
    return claim


def the_job(side: Gathering) -> Job:
    with side.database.reading() as session:
        return session.scalars(select(Job)).one()


def state(side: Gathering) -> str:
    return describe_study(side.database, "1.2.3").study.state


def test_a_job_is_claimed_by_one_worker_only(side: Gathering) -> None:
    claimed(side)
    assert side.queue.claim("worker-2") is None


def test_workers_that_wait_for_a_job_keep_no_writer_waiting(side: Gathering) -> None:
    claim = claimed(side)
    with side.database.writing():
        assert side.queue.claim("worker-2") is None  # at once, though another has the write lock
    side.queue.finish(claim, ())
    with side.database.writing():
        assert side.queue.claim("worker-2") is None


def test_finishing_queues_the_deliveries_in_the_same_commit(side: Gathering) -> None:
    side.queue.finish(claimed(side), [A_RESULT])
    with side.database.reading() as session:
        delivery = session.scalars(select(Delivery)).one()
        assert (delivery.destination, delivery.state) == ("PACS", DeliveryState.PENDING)
    assert the_job(side).state is JobState.DONE
    assert state(side) == "analysing"


def test_an_embedding_is_kept_with_its_job_and_counted_for_the_operator(side: Gathering) -> None:
    side.queue.finish(claimed(side), [A_RESULT], (0.5, -1.25, 3.0), network_ms=4.0)
    with side.database.reading() as session:
        embedding = session.scalars(select(Embedding)).one()
        assert (embedding.job.model, embedding.numbers) == ("chest_dx_lungs", [0.5, -1.25, 3.0])
    (line,) = describe_study(side.database, "1.2.3").jobs
    assert line.kept == "embedding of 3 numbers"


def test_a_job_without_an_embedding_keeps_none(side: Gathering) -> None:
    side.queue.finish(claimed(side), [A_RESULT])
    with side.database.reading() as session:
        assert session.scalars(select(Embedding)).all() == []
    (line,) = describe_study(side.database, "1.2.3").jobs
    assert line.kept == ""


def test_a_job_without_results_ends_its_study(side: Gathering) -> None:
    side.queue.finish(claimed(side), [])
    assert state(side) == "done"


def test_a_worker_that_renews_keeps_its_job_beyond_one_lease(side: Gathering) -> None:
    claim = claimed(side)
    for _ in range(5):
        side.clock.pass_seconds(20)
        side.queue.renew(claim)
        assert side.queue.claim("worker-2") is None
    side.queue.finish(claim, [A_RESULT])


def test_a_silent_worker_loses_its_job_and_its_late_result_is_discarded(side: Gathering) -> None:
    late = claimed(side)
    side.clock.pass_seconds(31)
    second = claimed(side, "worker-2")
    with pytest.raises(LeaseLost):
        side.queue.finish(late, [A_RESULT])
    with pytest.raises(LeaseLost):
        side.queue.renew(late)
    with pytest.raises(LeaseLost):
        side.queue.fail(late, "x")
    side.queue.finish(second, [A_RESULT])
    with side.database.reading() as session:
        assert len(session.scalars(select(Result)).all()) == 1


@pytest.mark.parametrize("years", [-10, 10])
def test_a_wall_clock_that_jumps_takes_no_job_and_ends_no_lease(side: Gathering, years: int) -> None:
    claim = claimed(side)
    side.clock.jump(timedelta(days=365 * years))
    assert side.queue.claim("worker-2") is None
    side.queue.renew(claim)
    side.clock.pass_seconds(31)
    assert claimed(side, "worker-2").job_id == claim.job_id


@pytest.mark.parametrize("years", [-10, 10])
def test_a_wall_clock_that_jumps_completes_no_study_early_or_late(side: Gathering, years: int) -> None:
    side.bring(received(2, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1"))
    side.clock.jump(timedelta(days=365 * years))
    assert side.complete(1.9) == 0
    assert side.complete(0.2) == 1


def test_a_lease_of_an_earlier_boot_is_void(side: Gathering) -> None:
    claimed(side)
    side.clock.reboot()
    assert claimed(side, "worker-2").job_id == 1


def test_a_job_whose_worker_dies_three_times_has_failed_and_asks_for_attention(side: Gathering) -> None:
    for _ in range(3):
        claimed(side)
        assert side.queue.release("worker-1", "SIGKILL") == 1
        side.clock.pass_seconds(30)
    assert side.queue.claim("worker-1") is None
    assert the_job(side).state is JobState.FAILED
    assert "worker worker-1 died (SIGKILL) (attempt 3, the last)" in the_job(side).reason
    assert state(side) == "attention"


def test_a_job_that_failed_goes_behind_what_its_sender_queued_since(side: Gathering) -> None:
    side.bring(received(2))
    side.complete()
    side.queue.fail(claimed(side), "it broke")
    assert [claimed(side).job_id, claimed(side).job_id] == [2, 1]


def test_a_node_that_goes_down_costs_a_job_no_attempt_and_not_its_turn(side: Gathering) -> None:
    side.bring(received(2))
    side.complete()
    fenced = claimed(side)
    assert side.queue.interrupt() == 1
    with pytest.raises(LeaseLost):
        side.queue.finish(fenced, [A_RESULT])
    again = claimed(side)
    assert (again.job_id, again.token) != (2, fenced.token)
    with side.database.reading() as session:
        job = session.get_one(Job, 1)
        assert (job.state, job.attempts, job.interruptions) == (JobState.RUNNING, 1, 1)


def test_a_job_under_which_the_node_goes_down_again_and_again_has_failed(side: Gathering) -> None:
    for _ in range(10):
        claimed(side)
        side.queue.interrupt()
    assert side.queue.claim("worker-1") is None
    assert (the_job(side).state, the_job(side).reason) == (
        JobState.FAILED,
        "the node went down 10 times while it ran",
    )
    assert state(side) == "attention"


def test_what_needs_a_person_is_an_error_in_the_log(side: Gathering, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    for _ in range(3):
        side.queue.fail(claimed(side), "it broke")
    levels = {record.getMessage(): record.levelname for record in caplog.records}
    assert (levels["job attempt failed"], levels["job failed"]) == ("INFO", "ERROR")


def test_a_job_whose_worker_died_rests_for_the_time_of_a_lease_and_lets_others_go_first(side: Gathering) -> None:
    claimed(side)
    side.queue.release("worker-1", "SIGKILL")
    assert side.queue.claim("worker-1") is None
    side.bring(received(2))
    side.complete()
    assert claimed(side).job_id == 2
    side.clock.pass_seconds(27.9)
    assert side.queue.claim("worker-1") is None
    side.clock.pass_seconds(0.2)
    assert claimed(side).job_id == 1


def test_a_job_that_rests_after_a_death_is_taken_at_once_when_the_machine_starts_again(side: Gathering) -> None:
    claimed(side)
    side.queue.release("worker-1", "SIGKILL")
    side.clock.reboot()
    assert claimed(side).job_id == 1


def test_the_death_of_one_worker_takes_no_job_from_another(side: Gathering) -> None:
    claim = claimed(side)
    assert side.queue.release("worker-2", "SIGKILL") == 0
    side.queue.renew(claim)


def test_a_refusal_keeps_its_reason_and_asks_for_attention(side: Gathering) -> None:
    side.queue.refuse(claimed(side), "PatientID is empty")
    assert (the_job(side).state, the_job(side).reason) == (JobState.REFUSED, "PatientID is empty")
    assert state(side) == "attention"


def test_a_failed_attempt_is_tried_again(side: Gathering) -> None:
    side.queue.fail(claimed(side), "MemoryError: ")
    assert claimed(side).job_id == 1
    assert the_job(side).attempts == 2


def test_the_oldest_job_goes_first(side: Gathering) -> None:
    side.bring(received(2))
    side.complete()
    assert [claimed(side).job_id, claimed(side).job_id] == [1, 2]


def test_jobs_of_a_held_study_wait(side: Gathering) -> None:
    side.bring(received(2, PatientID="P2"))
    assert side.queue.claim("worker-1") is None


def test_a_waiting_job_runs_the_model_that_is_installed_now(side: Gathering) -> None:
    side.queue.adopt_models({"chest_dx_lungs": "f" * 64})
    assert claimed(side).model_sha256 == "f" * 64
