"""Assembly: when a study is complete, and what becomes of it then."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, aliased, contains_eager, joinedload

from node.catalog import Catalog
from node.clock import Clock
from node.database import (
    Association,
    Database,
    Decision,
    EventName,
    Instance,
    Job,
    Prepared,
    Series,
    Study,
    record_event,
)
from node.jobs.progress import derive_progress
from node.jobs.queue import JobOrder, add_job, cancel_job
from node.settings import SENDER, Priority, Settings
from node.states import JobState, StudyState
from node.studies.combination import JobInputs
from node.studies.completion import Evidence, Patience, judge_completion, silence_needed, weigh_evidence
from node.studies.selection import ChosenJob, Selection, apply_rules
from node.studies.succession import find_predecessor
from node.studies.traits import IndexedInstance, IndexedSeries

# Stands in a study's row for the boot when a person has declared it complete.
COMPLETED_BY_HAND = "completed by hand"

# Studies that may be complete: while one is arriving, the last instance of a series came over an association that is
# open yet. That is seen without looking at all the others.
_LATEST = aliased(Instance)
_LATEST_ID = (
    select(func.max(Instance.id)).where(Instance.series_id == Series.id).correlate(Series).scalar_subquery()
)
_MAY_BE_COMPLETE = Prepared(
    select(Study.id, Study.last_instance_boot_id, Study.last_instance_seconds).where(
        Study.state == StudyState.RECEIVING,
        or_(
            Study.last_instance_boot_id == COMPLETED_BY_HAND,
            ~select(Series.id)
            .join(_LATEST, _LATEST.id == _LATEST_ID)
            .join(Association, Association.id == _LATEST.association_id)
            .where(Series.study_id == Study.id, Association.closed_at.is_(None))
            .correlate(Study)
            .exists(),
        ),
    )
)
_UNFINISHED = {JobState.QUEUED, JobState.RUNNING}

# RequestedProcedurePriority (0040,1003) that makes a job go sooner than its rule says.
_RAISED = {"STAT": Priority.STAT, "HIGH": Priority.URGENT}


@dataclass
class _Wanted:
    """One job that a study needs, whichever rules asked for it."""

    inputs: JobInputs
    model: str
    rank: int
    destinations: set[str] = field(default_factory=set)


class _Wait(NamedTuple):
    """How long a study has to wait from its last instance on; when that came is the boot and its seconds."""

    arrival: tuple[str, float]
    seconds: float


class Assembly:
    """Completes studies by the evidence there is, applies the rules and queues the jobs."""

    def __init__(self, database: Database, settings: Settings, catalog: Catalog, clock: Clock) -> None:
        """Check that every rule names an installed model; raises ModelCardError."""
        self._database = database
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._inputs = {rule.model: catalog[rule.model].card.input for rule in settings.rules}
        self._weighed: dict[int, tuple[object, Evidence]] = {}
        self._waits: dict[int, _Wait] = {}

    def complete_quiet_studies(self) -> int:
        """Complete every study whose evidence says that all of it has arrived; return how many."""
        arrivals = {study_id: (boot_id, seconds) for study_id, boot_id, seconds in self._database.ask(_MAY_BE_COMPLETE)}
        self._weighed = {key: known for key, known in self._weighed.items() if key in arrivals}
        self._waits = {key: wait for key, wait in self._waits.items() if arrivals.get(key) == wait.arrival}
        candidates = [study_id for study_id in arrivals if not self._must_wait(study_id)]
        if not candidates:
            return 0
        with self._database.reading() as session:
            studies = session.scalars(select(Study).where(Study.id.in_(candidates)).order_by(Study.id)).all()
            ripe = [study.id for study in studies if self._why_complete(session, study)]
        return sum(self._complete(study_id) for study_id in ripe)

    def _must_wait(self, study_id: int) -> bool:
        """Tell whether nothing can have made a study complete since it was last looked at."""
        wait = self._waits.get(study_id)
        if wait is None:
            return False
        boot_id, since_seconds = wait.arrival
        return boot_id == self._clock.boot_id and self._clock.boot_seconds() - since_seconds < wait.seconds

    def _complete(self, study_id: int) -> bool:
        with self._database.writing() as session:
            study = session.get_one(Study, study_id)
            reason = self._why_complete(session, study)
            if study.state != StudyState.RECEIVING or not reason:
                return False
            study.move(StudyState.COMPLETE)
            study.revision += 1
            event = {"revision": study.revision, "reason": reason}
            record_event(session, self._clock.now(), EventName.STUDY_COMPLETE, study, **event)
            selection = apply_rules(self._settings.rules, self._inputs, index_study(session, study))
            self._record_decisions(session, study, selection)
            self._queue_jobs(session, study, selection)
            derive_progress(session, study)
            return True

    def _why_complete(self, session: Session, study: Study) -> str | None:
        """Return the reason why a study is complete, or None: open associations first, the timer last."""
        if study.last_instance_boot_id == COMPLETED_BY_HAND:
            return "completed by a person"
        if session.scalar(_associations_of(study).where(Association.closed_at.is_(None)).limit(1)):
            return None
        if study.last_instance_boot_id != self._clock.boot_id:
            return "the machine was started again since its last instance"
        senders = session.scalars(_associations_of(study)).all()
        quiet = max((self._settings.quiet_seconds_of(sender.calling_ae_title) for sender in senders), default=0.0)
        patience = Patience(quiet, self._settings.gathering.gap_seconds)
        silent = self._clock.boot_seconds() - study.last_instance_seconds
        evidence = self._evidence(session, study)
        arrival = study.last_instance_boot_id, study.last_instance_seconds
        self._waits[study.id] = _Wait(arrival, silence_needed(evidence, patience))
        return judge_completion(evidence, silent, patience)

    def _evidence(self, session: Session, study: Study) -> Evidence:
        """Weigh what has arrived, once after each arrival."""
        count = session.scalar(select(func.count(Instance.id)).join(Series).where(Series.study_id == study.id))
        arrival = (study.last_instance_seconds, count)
        known = self._weighed.get(study.id)
        if known is None or known[0] != arrival:
            known = (arrival, weigh_evidence(index_study(session, study)))
            self._weighed[study.id] = known
        return known[1]

    def _record_decisions(self, session: Session, study: Study, selection: Selection) -> None:
        series = {one.series_instance_uid: one.id for one in study.series}
        session.add_all(
            Decision(
                study_id=study.id,
                series_id=series[decision.series_instance_uid],
                revision=study.revision,
                rule=decision.rule,
                instance_count=decision.instances,
                is_match=decision.is_match,
                reasons=list(decision.reasons),
                decided_at=self._clock.now(),
            )
            for decision in selection.decisions
        )

    def _queue_jobs(self, session: Session, study: Study, selection: Selection) -> None:
        """Queue what is new; cancel what an earlier revision began and this one does not want.

        What an earlier one finished and this one does not want is replaced by what is new.
        """
        wanted = _merge(study, selection.jobs)
        for job in study.jobs:
            if job.state in _UNFINISHED and (job.model, job.inputs_digest) not in wanted:
                cancel_job(session, self._clock, job, f"not wanted by revision {study.revision}")
        outdated = [job for job in study.jobs if job.state == JobState.DONE and self._is_outdated(job, wanted)]
        for (_, digest), new in wanted.items():
            add_job(session, self._clock, self._order(study, digest, new, outdated))

    def _is_outdated(self, job: Job, wanted: Collection[tuple[str, str]]) -> bool:
        """Tell whether a finished job's inputs, or its model, are not those of today."""
        if (job.model, job.inputs_digest) not in wanted:
            return True
        return job.model_sha256 != self._catalog[job.model].identity.sha256

    def _order(self, study: Study, digest: str, wanted: _Wanted, outdated: Sequence[Job]) -> JobOrder:
        inputs = wanted.inputs.instances
        return JobOrder(
            study_id=study.id,
            inputs=tuple((role, instance.number) for role, instance in inputs),
            sender=inputs[0][1].sender,
            priority=wanted.rank,
            revision=study.revision,
            model=self._catalog[wanted.model].identity,
            inputs_digest=digest,
            destinations=tuple(sorted(wanted.destinations)),
            predecessor_id=find_predecessor(wanted.model, [i.number for _, i in inputs], outdated),
        )


def index_study(session: Session, study: Study) -> list[IndexedSeries]:
    """Return what the index holds of a study's series; results of our own that came back are left out."""
    instances = session.scalars(
        select(Instance)
        .join(Instance.series)
        .where(Series.study_id == study.id, Instance.is_own_result.is_(False))
        .options(joinedload(Instance.association), contains_eager(Instance.series))
        .order_by(Series.id, Instance.id)
    )
    series: dict[str, list[IndexedInstance]] = defaultdict(list)
    for instance in instances:
        series[instance.series.series_instance_uid].append(_indexed(instance))
    return [IndexedSeries(uid, tuple(images)) for uid, images in series.items()]


def digest_inputs(study_instance_uid: str, inputs: JobInputs) -> str:
    """Return the SHA-256 that names these inputs: the study UID, and each instance's role, UID and content."""
    parts = sorted(f"{role} {instance.sop_instance_uid} {instance.sha256}" for role, instance in inputs.instances)
    return hashlib.sha256("\n".join([study_instance_uid, *parts]).encode()).hexdigest()


def _associations_of(study: Study) -> Select[Association]:
    bringing = select(Instance.association_id).join(Series).where(Series.study_id == study.id)
    return select(Association).where(Association.id.in_(bringing))


def _indexed(instance: Instance) -> IndexedInstance:
    return IndexedInstance(
        number=instance.id,
        sop_instance_uid=instance.sop_instance_uid,
        sha256=instance.sha256,
        sop_class_uid=instance.sop_class_uid,
        sender=instance.association.calling_ae_title,
        sender_address=instance.association.calling_address,
        header=instance.header,
    )


def _merge(study: Study, chosen: Iterable[ChosenJob]) -> dict[tuple[str, str], _Wanted]:
    """Make one of the jobs that several rules ask for alike: the soonest, with every destination."""
    wanted: dict[tuple[str, str], _Wanted] = {}
    for job in chosen:
        key = (job.rule.model, digest_inputs(study.study_instance_uid, job.inputs))
        one = wanted.setdefault(key, _Wanted(job.inputs, job.rule.model, job.rule.priority.rank))
        one.rank = min(one.rank, _rank(job))
        one.destinations |= _destinations(job)
    return wanted


def _rank(job: ChosenJob) -> int:
    """Return how soon a job goes: as its rule says, or sooner where an instance was asked for urgently."""
    raised = {_RAISED[i.priority].rank for _, i in job.inputs.instances if i.priority in _RAISED}
    return min({job.rule.priority.rank} | raised)


def _destinations(job: ChosenJob) -> set[str]:
    """Name the destinations; a sender is named by its AE title until delivery looks it up."""
    senders = {f"{SENDER}:{instance.sender}" for _, instance in job.inputs.instances}
    named = set(job.rule.destination)
    return (named - {SENDER}) | senders if SENDER in named else named
