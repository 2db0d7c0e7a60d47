"""The job queue: SQL rows claimed under a lease, and a fence token that keeps late workers out."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import (
    Database,
    Delivery,
    Embedding,
    EventName,
    Job,
    JobInput,
    Result,
    record_event,
)
from node.errors import LeaseLost
from node.jobs.progress import derive_progress, hold_study
from node.jobs.readiness import CLAIMABLE, LAPSED, is_anything_ready, moment
from node.jobs.turns import note_claim, take_turn
from node.states import DeliveryState, JobState
from node.vocabulary import ModelIdentity

MOST_INTERRUPTIONS = 10


@dataclass(frozen=True)
class JobOrder:
    """What a job is to do: run this model on these instances and send the results there.

    `inputs` are (role, instance key) in the order the model wants them. `sender` is who sent them; the
    lower the `priority`, the sooner. `inputs_digest` is the SHA-256 over the study UID and the inputs'
    contents; with the model's identity it names the job, so the same order twice is one job.
    `predecessor_id` is the job whose reports this one's replace.
    """

    study_id: int
    inputs: tuple[tuple[str, int], ...]
    sender: str
    priority: int
    revision: int
    model: ModelIdentity
    inputs_digest: str
    destinations: tuple[str, ...]
    predecessor_id: int | None = None


@dataclass(frozen=True)
class Claim:
    """A job this worker may run until its lease ends; `token` proves it is still the one."""

    job_id: int
    token: str
    model: str
    model_sha256: str
    created_at: datetime


@dataclass(frozen=True)
class StoredResult:
    """A result object that is durable on disk and waits for its row."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    path: str
    sha256: str


def add_job(session: Session, clock: Clock, order: JobOrder) -> Job | None:
    """Queue a job in the session's transaction; return None when there is one for this order already.

    One whose inputs left the disk, and have come again, gets them back.
    """
    key = (
        Job.study_id == order.study_id,
        Job.model == order.model.name,
        Job.model_sha256 == order.model.sha256,
        Job.inputs_digest == order.inputs_digest,
    )
    inputs = [JobInput(role=role, instance_id=instance_id) for role, instance_id in order.inputs]
    known = session.scalar(select(Job).where(*key))
    if known is not None:
        known.inputs = known.inputs or inputs
        return None
    job = Job(
        study_id=order.study_id,
        inputs=inputs,
        predecessor_id=order.predecessor_id,
        sender=order.sender,
        priority=order.priority,
        revision=order.revision,
        model=order.model.name,
        model_sha256=order.model.sha256,
        inputs_digest=order.inputs_digest,
        destinations=list(order.destinations),
        virtual_time=take_turn(session, order.sender),
        state=JobState.QUEUED,
        created_at=clock.now(),
    )
    session.add(job)
    session.flush()
    record_event(session, clock.now(), EventName.JOB_QUEUED, job, model=job.model)
    return job


def requeue_job(session: Session, clock: Clock, job: Job) -> None:
    """Queue a job that ended without results again, with all its attempts, behind what its sender queued since.

    The caller derives the study's progress afterwards, as after `cancel_job`.
    """
    job.move(JobState.QUEUED)
    job.reason, job.attempts, job.interruptions, job.finished_at = "", 0, 0, None
    job.lease_until_seconds = 0.0
    job.virtual_time = take_turn(session, job.sender)
    record_event(session, clock.now(), EventName.JOB_QUEUED, job, model=job.model)


def adopt_model(session: Session, clock: Clock, job: Job, identities: Mapping[str, str]) -> None:
    """Let a waiting job run the model installed now; `identities` maps a name to its SHA-256.

    Where there is such a job already, one is enough.
    """
    newest = identities.get(job.model, job.model_sha256)
    if newest == job.model_sha256:
        return
    twin = select(Job.id).where(
        Job.study_id == job.study_id,
        Job.model == job.model,
        Job.model_sha256 == newest,
        Job.inputs_digest == job.inputs_digest,
    )
    if session.scalar(twin) is None:
        job.model_sha256 = newest
    else:
        cancel_job(session, clock, job, "the same job is queued for the model installed now")


def _want_everything(_destination: str, _kind: str) -> bool:
    return True


class JobQueue:
    """Claims and ends jobs; every method is one transaction."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        lease_seconds: float,
        attempts: int,
        wants: Callable[[str, str], bool] = _want_everything,
    ) -> None:
        """Give each claim `lease_seconds`, and each job at most `attempts` claims.

        `wants(destination, kind)` tells whether a destination gets results of a kind.
        """
        self._database = database
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._attempts = attempts
        self._wants = wants

    def claim(self, worker: str) -> Claim | None:
        """Take the job whose turn it is, or return None.

        The lowest priority number goes first, then senders take turns, then the oldest. Jobs of a
        study that a person holds or has cancelled wait.
        """
        if not is_anything_ready(self._database, self._clock):
            return None
        with self._database.writing() as session:
            self._recover(session)
            next_one = CLAIMABLE.order_by(Job.priority, Job.virtual_time, Job.id).limit(1)
            job = session.scalar(next_one, moment(self._clock))
            if job is None:
                return None
            job.move(JobState.RUNNING)
            job.worker, job.token = worker, uuid.uuid4().hex
            job.attempts += 1
            note_claim(session, job)
            self._extend(job)
            self._event(session, EventName.JOB_CLAIMED, job, worker=worker, attempt=job.attempts)
            derive_progress(session, job.study)
            return Claim(job.id, job.token, job.model, job.model_sha256, job.created_at)

    def renew(self, claim: Claim) -> None:
        """Extend the lease; raises LeaseLost when the job is another's by now."""
        with self._database.writing() as session:
            self._extend(_owned(session, claim))

    def finish(
        self,
        claim: Claim,
        results: Sequence[StoredResult],
        embedding: Sequence[float] = (),
        doubts: Sequence[str] = (),
        **durations_ms: float,
    ) -> None:
        """Record the results, queue their deliveries and end the job, all in one commit.

        `embedding` is kept beside them, if there is one; each of the `doubts` whether the images are the
        patient's becomes an event. Raises LeaseLost when the job is another's by now; nothing is recorded then.
        """
        with self._database.writing() as session:
            job = _owned(session, claim)
            for stored in results:
                self._add_result(session, job, stored)
            if embedding:
                job.embedding = Embedding(numbers=[float(number) for number in embedding])
            self._end(session, job, JobState.DONE)
            self._event(session, EventName.JOB_DONE, job, results=len(results), **durations_ms)
            for doubt in doubts:
                self._event(session, EventName.IDENTITY_DOUBTED, job, doubt=doubt)
            derive_progress(session, job.study)

    def refuse(self, claim: Claim, reason: str) -> None:
        """End a job whose input does not fit its model; raises LeaseLost."""
        with self._database.writing() as session:
            job = _owned(session, claim)
            self._end(session, job, JobState.REFUSED, reason)
            self._event(session, EventName.JOB_REFUSED, job)
            derive_progress(session, job.study)

    def hold(self, claim: Claim, reason: str) -> None:
        """End a job whose results would not belong to its study, and hold the study; raises LeaseLost."""
        with self._database.writing() as session:
            job = _owned(session, claim)
            self._end(session, job, JobState.FAILED, reason)
            self._event(session, EventName.JOB_FAILED, job, attempt=job.attempts)
            hold_study(session, self._clock, job.study, reason)

    def fail(self, claim: Claim, reason: str) -> None:
        """Record a failed attempt; the job waits for another or, after the last, has failed."""
        with self._database.writing() as session:
            self._fail(session, _owned(session, claim), reason)

    def release(self, worker: str, how: str) -> int:
        """Take the running jobs from a worker known to have died in this way; return how many.

        Each rests for the time of a lease before it is claimed again, as it may kill the next worker too: by then
        another stands by, and the jobs of others do not wait for one to start.
        """
        with self._database.writing() as session:
            jobs = session.scalars(select(Job).where(Job.state == JobState.RUNNING, Job.worker == worker)).all()
            for job in jobs:
                self._fail(session, job, f"worker {worker} died ({how})")
                self._extend(job)
            return len(jobs)

    def interrupt(self) -> int:
        """Take back every running job because the node goes down or did; return how many.

        That costs a job no attempt: it goes on where it was in the queue. One under which the node went down
        again and again has failed all the same, for it may be the reason.
        """
        with self._database.writing() as session:
            jobs = session.scalars(select(Job).where(Job.state == JobState.RUNNING)).all()
            for job in jobs:
                self._interrupt(session, job)
            return len(jobs)

    def adopt_models(self, identities: Mapping[str, str]) -> None:
        """Let waiting jobs run the models installed now: `identities` maps a name to its SHA-256."""
        with self._database.writing() as session:
            for job in session.scalars(select(Job).where(Job.state == JobState.QUEUED)).all():
                adopt_model(session, self._clock, job, identities)

    def _recover(self, session: Session) -> None:
        """Give up leases that ran out, also those of an earlier boot."""
        for job in session.scalars(LAPSED, moment(self._clock)).all():
            self._fail(session, job, f"worker {job.worker} said nothing until its lease ran out")

    def _interrupt(self, session: Session, job: Job) -> None:
        job.interruptions += 1
        if job.interruptions >= MOST_INTERRUPTIONS:
            self._end(session, job, JobState.FAILED, f"the node went down {job.interruptions} times while it ran")
            self._event(session, EventName.JOB_FAILED, job, attempt=job.attempts)
        else:
            job.move(JobState.QUEUED)
            job.attempts -= 1
            job.reason, job.token, job.lease_until_seconds = "the node went down", "", 0.0
            self._event(session, EventName.JOB_INTERRUPTED, job, interruptions=job.interruptions)
        derive_progress(session, job.study)

    def _fail(self, session: Session, job: Job, reason: str) -> None:
        """Put a job that failed behind what its sender has queued since, so that it keeps nobody waiting."""
        if job.attempts < self._attempts:
            job.move(JobState.QUEUED)
            job.lease_until_seconds = 0.0
            job.reason, job.token = reason, ""
            job.virtual_time = take_turn(session, job.sender)
            self._event(session, EventName.JOB_ATTEMPT_FAILED, job, attempt=job.attempts)
        else:
            self._end(session, job, JobState.FAILED, f"{reason} (attempt {job.attempts}, the last)")
            self._event(session, EventName.JOB_FAILED, job, attempt=job.attempts)
        derive_progress(session, job.study)

    def _add_result(self, session: Session, job: Job, stored: StoredResult) -> None:
        result = Result(job=job, created_at=self._clock.now(), **vars(stored))
        session.add(result)
        for destination in [name for name in job.destinations if self._wants(name, stored.kind)]:
            delivery = Delivery(
                result=result,
                destination=destination,
                state=DeliveryState.PENDING,
                due_at=self._clock.now(),
            )
            session.add(delivery)
            session.flush()
            self._event(session, EventName.DELIVERY_QUEUED, delivery, destination=destination)

    def _end(self, session: Session, job: Job, state: JobState, reason: str = "") -> None:
        job.move(state)
        job.reason, job.token = reason, ""
        job.finished_at = self._clock.now()
        session.flush()

    def _extend(self, job: Job) -> None:
        """Let a running job be its worker's, or a waiting one rest, for the time of a lease from now."""
        job.lease_boot_id = self._clock.boot_id
        job.lease_until_seconds = self._clock.boot_seconds() + self._lease_seconds

    def _event(
        self, session: Session, name: EventName, subject: Job | Delivery, **detail: str | float
    ) -> None:
        record_event(session, self._clock.now(), name, subject, **detail)


def cancel_job(session: Session, clock: Clock, job: Job, reason: str) -> None:
    """End a job that nobody wants any more; a worker that still runs it is fenced off."""
    job.move(JobState.CANCELLED)
    job.reason, job.token = reason, ""
    job.finished_at = clock.now()
    record_event(session, clock.now(), EventName.JOB_CANCELLED, job)


def _owned(session: Session, claim: Claim) -> Job:
    job = session.get_one(Job, claim.job_id)
    if job.state != JobState.RUNNING or job.token != claim.token:
        raise LeaseLost(f"job {claim.job_id}: it is {job.state} under another token; this result is discarded")
    return job
