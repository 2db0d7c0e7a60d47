"""Assembly: when a study is complete, and what becomes of it then."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.catalog import Catalog
from node.clock import Clock
from node.database import (
    Association,
    Database,
    Decision,
    EventName,
    Instance,
    Series,
    Study,
    record_event,
)
from node.jobs.progress import derive_progress
from node.jobs.queue import JobOrder, add_job, cancel_job
from node.settings import SENDER, Rule, Settings
from node.states import JobState, StudyState
from node.studies.rules import Traits, judge


@dataclass(frozen=True)
class _Choice:
    """A model chosen for an instance, and where its results go."""

    instance: Instance
    model: str


class Assembly:
    """Completes studies that have gone quiet, applies the rules and queues the jobs."""

    def __init__(self, database: Database, settings: Settings, catalog: Catalog, clock: Clock) -> None:
        """Check that every rule names an installed model; raises ModelCardError."""
        self._database = database
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        for rule in settings.rules:
            catalog[rule.model]

    def complete_quiet_studies(self) -> int:
        """Complete every study whose evidence says that all of it has arrived; return how many."""
        with self._database.reading() as session:
            receiving = session.scalars(select(Study.id).where(Study.state == StudyState.RECEIVING)).all()
        return sum(self._complete_if_quiet(study_id) for study_id in receiving)

    def _complete_if_quiet(self, study_id: int) -> bool:
        with self._database.writing() as session:
            study = session.get_one(Study, study_id)
            if study.state != StudyState.RECEIVING or not self._is_quiet(session, study):
                return False
            study.move(StudyState.COMPLETE)
            study.revision += 1
            record_event(session, self._clock.now(), EventName.STUDY_COMPLETE, study, revision=study.revision)
            self._queue_jobs(session, study, self._decide(session, study))
            derive_progress(session, study)
            return True

    def _is_quiet(self, session: Session, study: Study) -> bool:
        """Evidence first, timer last: no open association brings it and its sender's quiet time passed."""
        senders = session.scalars(
            select(Association)
            .join(Instance, Instance.association_id == Association.id)
            .join(Series)
            .where(Series.study_id == study.id)
            .distinct()
        ).all()
        if any(association.closed_at is None for association in senders):
            return False
        if study.last_instance_boot_id != self._clock.boot_id:
            return True
        quiet = max((self._settings.quiet_seconds_of(a.calling_ae_title) for a in senders), default=0.0)
        return self._clock.boot_seconds() - study.last_instance_seconds >= quiet

    def _decide(self, session: Session, study: Study) -> dict[_Choice, set[str]]:
        """Try every rule on every group of like instances, store why, and return what was chosen."""
        chosen: dict[_Choice, set[str]] = defaultdict(set)
        for series in study.series:
            for traits, instances in _like_instances(series).items():
                for rule in self._settings.rules:
                    if self._judge(session, series, rule, (traits, instances)):
                        for instance in instances:
                            chosen[_Choice(instance, rule.model)] |= _destinations(rule, instance)
        return chosen

    def _judge(
        self, session: Session, series: Series, rule: Rule, group: tuple[Traits, list[Instance]]
    ) -> bool:
        traits, instances = group
        verdict = judge(rule, self._catalog[rule.model].input, traits)
        decision = Decision(
            study=series.study,
            series=series,
            revision=series.study.revision,
            rule=rule.name,
            instance_count=len(instances),
            is_match=verdict.is_match,
            reasons=list(verdict.reasons),
            decided_at=self._clock.now(),
        )
        session.add(decision)
        return verdict.is_match

    def _queue_jobs(self, session: Session, study: Study, chosen: dict[_Choice, set[str]]) -> None:
        """Queue what is new, and cancel what an earlier revision queued and this one does not want."""
        wanted = {(choice.model, digest_inputs(study, [choice.instance])) for choice in chosen}
        for job in study.jobs:
            if job.state == JobState.QUEUED and (job.model, job.inputs_digest) not in wanted:
                cancel_job(session, self._clock, job, f"not wanted by revision {study.revision}")
        for choice, destinations in chosen.items():
            add_job(session, self._clock, self._order(study, choice, destinations))

    def _order(self, study: Study, choice: _Choice, destinations: set[str]) -> JobOrder:
        return JobOrder(
            study_id=study.id,
            inputs=((self._catalog[choice.model].input_role, choice.instance.id),),
            sender=choice.instance.association.calling_ae_title,
            priority=0,
            revision=study.revision,
            model=self._catalog[choice.model].identity,
            inputs_digest=digest_inputs(study, [choice.instance]),
            destinations=tuple(sorted(destinations)),
        )


def digest_inputs(study: Study, instances: list[Instance]) -> str:
    """Return the SHA-256 that names these inputs: the study UID and each instance's UID and content."""
    parts = sorted(f"{instance.sop_instance_uid} {instance.sha256}" for instance in instances)
    return hashlib.sha256("\n".join([study.study_instance_uid, *parts]).encode()).hexdigest()


def _like_instances(series: Series) -> dict[Traits, list[Instance]]:
    """Group a series' instances by what rules look at; our own results are left out."""
    groups: dict[Traits, list[Instance]] = defaultdict(list)
    for instance in series.instances:
        if not instance.is_own_result:
            groups[_traits(series, instance)].append(instance)
    return groups


def _traits(series: Series, instance: Instance) -> Traits:
    return Traits(
        modality=series.modality,
        body_part=str(instance.header.get("BodyPartExamined", "")),
        sop_class_uid=instance.sop_class_uid,
        view_position=str(instance.header.get("ViewPosition", "")),
        study_description=series.study.description,
        series_description=series.description,
        calling_ae_title=instance.association.calling_ae_title,
    )


def _destinations(rule: Rule, instance: Instance) -> set[str]:
    """Name the destinations; the sender is named by its AE title until delivery looks it up."""
    sender = f"{SENDER}:{instance.association.calling_ae_title}"
    return {sender if destination == SENDER else destination for destination in rule.destination}
