"""Whatever workers, clocks and people do to the queue, and in whatever order, its promises hold."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from clocks import ManualClock
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from rows import gathering, received
from sqlalchemy import func, select

from node.database import Database, Delivery, Job, Result, Study
from node.errors import LeaseLost
from node.jobs.progress import derive_progress
from node.jobs.queue import Claim, JobOrder, JobQueue, StoredResult, add_job, cancel_job, requeue_job
from node.states import JobState
from node.vocabulary import ModelIdentity

LEASE_SECONDS, ATTEMPTS = 30.0, 3
MODEL = ModelIdentity("a_b_c", "A", "1", "0" * 64)
ENDED = {JobState.DONE, JobState.REFUSED, JobState.FAILED, JobState.CANCELLED}


class QueueMachine(RuleBasedStateMachine):
    """Workers that claim, renew, finish, fail, die and come back late; people who cancel and retry; reboots."""

    claims = Bundle("claims")

    @initialize()
    def build(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        side = gathering(Path(self.folder.name), rules=())
        side.bring(received(1))
        side.complete()
        self.database: Database = side.database
        self.clock: ManualClock = side.clock
        self.queue = JobQueue(self.database, self.clock, LEASE_SECONDS, ATTEMPTS)
        self.orders = 0
        self.finished: set[int] = set()
        self.rests_until: dict[int, float] = {}

    def teardown(self) -> None:
        self.database.close()
        self.folder.cleanup()

    @rule(sender=st.sampled_from("ABC"), priority=st.integers(0, 2))
    def order(self, sender: str, priority: int) -> None:
        self.orders += 1
        order = JobOrder(1, (("image", 1),), sender, priority, 1, MODEL, str(self.orders), ("PACS",))
        with self.database.writing() as session:
            assert add_job(session, self.clock, order) is not None
            assert add_job(session, self.clock, order) is None

    @rule(target=claims, worker=st.sampled_from(("w1", "w2")))
    def claim(self, worker: str) -> Claim | None:
        queued = self.jobs(JobState.QUEUED)
        waiting = [job for job in queued if self.rests_until.get(job.id, 0.0) <= self.clock.boot_seconds()]
        claim = self.queue.claim(worker)
        assert not [job for job in self.jobs(JobState.RUNNING) if self.is_lapsed(job)]
        if claim is None:
            assert not waiting
        elif not self.recovered(queued, claim):
            assert min((job.priority, job.virtual_time, job.id) for job in waiting)[2] == claim.job_id
        return claim

    @rule(claim=claims)
    def renew(self, claim: Claim | None) -> None:
        if claim is not None:
            self.as_owner(claim, lambda: self.queue.renew(claim))

    @rule(claim=consumes(claims))
    def finish(self, claim: Claim | None) -> None:
        if claim is not None and self.as_owner(claim, lambda: self.queue.finish(claim, [self.result(claim)])):
            assert claim.job_id not in self.finished
            self.finished.add(claim.job_id)

    @rule(claim=claims)
    def fail(self, claim: Claim | None) -> None:
        if claim is not None:
            self.as_owner(claim, lambda: self.queue.fail(claim, "it broke"))

    @rule(claim=claims)
    def refuse(self, claim: Claim | None) -> None:
        if claim is not None:
            self.as_owner(claim, lambda: self.queue.refuse(claim, "it does not fit"))

    @rule(worker=st.sampled_from(("w1", "w2")))
    def worker_dies(self, worker: str) -> None:
        held = {job.id for job in self.jobs(JobState.RUNNING) if job.worker == worker}
        assert self.queue.release(worker, "SIGKILL") == len(held)
        assert not [job for job in self.jobs(JobState.RUNNING) if job.worker == worker]
        self.rests_until |= dict.fromkeys(held, self.clock.boot_seconds() + LEASE_SECONDS)

    @rule()
    def node_goes_down(self) -> None:
        running = {job.id: (job.attempts, job.virtual_time) for job in self.jobs(JobState.RUNNING)}
        assert self.queue.interrupt() == len(running)
        assert not self.jobs(JobState.RUNNING)
        for job in self.jobs():
            if job.id in running and job.state is JobState.QUEUED:
                assert (job.attempts + 1, job.virtual_time) == running[job.id]

    @rule(seconds=st.sampled_from((1.0, 29.0, 31.0)))
    def time_passes(self, seconds: float) -> None:
        self.clock.pass_seconds(seconds)

    @rule()
    def machine_reboots(self) -> None:
        self.clock.reboot()
        self.rests_until.clear()

    @rule(number=st.integers(1, 5))
    def person_cancels(self, number: int) -> None:
        with self.database.writing() as session:
            job = session.get(Job, number)
            if job is not None and job.state in {JobState.QUEUED, JobState.RUNNING}:
                cancel_job(session, self.clock, job, "by a person")
                derive_progress(session, job.study)

    @rule(number=st.integers(1, 5))
    def person_retries(self, number: int) -> None:
        with self.database.writing() as session:
            job = session.get(Job, number)
            if job is not None and job.state in {JobState.FAILED, JobState.REFUSED}:
                requeue_job(session, self.clock, job)
                self.rests_until.pop(number, None)
                derive_progress(session, job.study)

    @invariant()
    def a_job_never_has_more_attempts_than_allowed(self) -> None:
        assert all(job.attempts <= ATTEMPTS for job in self.jobs())

    @invariant()
    def exactly_the_running_jobs_have_an_owner(self) -> None:
        assert all(bool(job.token) == (job.state is JobState.RUNNING) for job in self.jobs())

    @invariant()
    def exactly_the_ended_jobs_have_an_end(self) -> None:
        assert all((job.finished_at is not None) == (job.state in ENDED) for job in self.jobs())

    @invariant()
    def results_and_deliveries_are_those_of_the_jobs_that_are_done(self) -> None:
        assert {job.id for job in self.jobs(JobState.DONE)} == self.finished
        with self.database.reading() as session:
            assert set(session.scalars(select(Result.job_id))) == self.finished
            assert session.scalar(select(func.count(Delivery.id))) == len(self.finished)

    @invariant()
    def the_study_is_where_its_jobs_are(self) -> None:
        wanted = [job for job in self.jobs() if job.state != JobState.CANCELLED]
        if not wanted:
            return
        with self.database.reading() as session:
            state = str(session.scalars(select(Study.state)).one())
        assert (state == "attention") == any(job.state in {JobState.FAILED, JobState.REFUSED} for job in wanted)

    def jobs(self, state: JobState | None = None) -> list[Job]:
        with self.database.reading() as session:
            query = select(Job) if state is None else select(Job).where(Job.state == state)
            return list(session.scalars(query))

    def is_lapsed(self, job: Job) -> bool:
        return job.lease_boot_id != self.clock.boot_id or job.lease_until_seconds < self.clock.boot_seconds()

    def recovered(self, queued: list[Job], claim: Claim) -> bool:
        """Tell whether a claim also gave up leases, which changes what waits."""
        return len(self.jobs(JobState.QUEUED)) != len(queued) - 1 or claim.job_id not in {job.id for job in queued}

    def as_owner(self, claim: Claim, act: Callable[[], object]) -> bool:
        """Act on a claim; that it is refused exactly to those who own it no more is the fence's promise."""
        (job,) = [job for job in self.jobs() if job.id == claim.job_id]
        is_owner = job.state is JobState.RUNNING and job.token == claim.token
        try:
            act()
        except LeaseLost:
            assert not is_owner
            return False
        assert is_owner
        return True

    def result(self, claim: Claim) -> StoredResult:
        return StoredResult("segmentation", "1.2", f"2.25.{claim.job_id}", "2.25.0", f"results/{claim.job_id}", "00")


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
