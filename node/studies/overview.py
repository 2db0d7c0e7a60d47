"""What an operator sees of studies and deliveries: plain values read from the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.database import Database, Delivery, Event, Instance, Job, Series, Study
from node.errors import UnknownStudy


@dataclass(frozen=True)
class StudyLine:
    """One study in a list."""

    study_instance_uid: str
    state: str
    reason: str
    revision: int
    patient_id: str
    accession_number: str
    description: str
    instances: int
    jobs: int
    received_at: datetime


@dataclass(frozen=True)
class SeriesLine:
    """One series of a study; results that a PACS sent back are counted apart."""

    series_instance_uid: str
    modality: str
    description: str
    instances: int
    own_results: int


@dataclass(frozen=True)
class DecisionLine:
    """Why a rule did or did not choose some of a series' instances."""

    revision: int
    rule: str
    series: str
    series_instance_uid: str
    instances: int
    is_match: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class JobLine:
    """One model's run on some instances, named by their SOP Instance UIDs; `kept` is what is sent to nobody."""

    job: int
    revision: int
    model: str
    inputs: tuple[str, ...]
    state: str
    attempts: int
    reason: str
    kept: str


@dataclass(frozen=True)
class DeliveryLine:
    """One result object on its way to one destination."""

    delivery: int
    study_instance_uid: str
    kind: str
    sop_instance_uid: str
    destination: str
    state: str
    attempts: int
    answer: str
    due_at: datetime
    sent_at: datetime | None
    committed_at: datetime | None


@dataclass(frozen=True)
class EventLine:
    """Something that happened to a study."""

    at: datetime
    name: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class StudyDetail:
    """All that is known of one study."""

    study: StudyLine
    series: tuple[SeriesLine, ...]
    decisions: tuple[DecisionLine, ...]
    jobs: tuple[JobLine, ...]
    deliveries: tuple[DeliveryLine, ...]
    events: tuple[EventLine, ...]


def list_studies(database: Database) -> list[StudyLine]:
    """Return every study, the newest last."""
    with database.reading() as session:
        studies = session.scalars(select(Study).order_by(Study.id)).all()
        return [_study_line(session, study) for study in studies]


def describe_study(database: Database, study_instance_uid: str) -> StudyDetail:
    """Return one study with everything that happened to it; raises UnknownStudy."""
    with database.reading() as session:
        study = session.scalar(select(Study).where(Study.study_instance_uid == study_instance_uid))
        if study is None:
            raise UnknownStudy(
                f"study {study_instance_uid}: not in {database.path}; `radnode studies list` shows those that are"
            )
        deliveries = session.scalars(_deliveries().where(Job.study_id == study.id)).all()
        return StudyDetail(
            study=_study_line(session, study),
            series=tuple(_series_line(series) for series in study.series),
            decisions=tuple(_decision_lines(study)),
            jobs=tuple(_job_line(job) for job in study.jobs),
            deliveries=tuple(_delivery_line(delivery) for delivery in deliveries),
            events=tuple(_event_line(event) for event in session.scalars(_events(study))),
        )


def list_deliveries(database: Database) -> list[DeliveryLine]:
    """Return every delivery, the newest last."""
    with database.reading() as session:
        return [_delivery_line(delivery) for delivery in session.scalars(_deliveries()).all()]


def _deliveries() -> Any:
    return select(Delivery).join(Delivery.result).join(Job).order_by(Delivery.id)


def _events(study: Study) -> Any:
    """Select what happened to a study and to the associations that brought it, in the order of time."""
    associations = select(Instance.association_id).join(Series).where(Series.study_id == study.id)
    return select(Event).where((Event.study_id == study.id) | Event.association_id.in_(associations)).order_by(Event.id)


def _study_line(session: Session, study: Study) -> StudyLine:
    instances = session.scalar(
        select(func.count(Instance.id)).join(Series).where(Series.study_id == study.id)
    )
    jobs = session.scalar(select(func.count(Job.id)).where(Job.study_id == study.id))
    return StudyLine(
        study_instance_uid=study.study_instance_uid,
        state=str(study.state),
        reason=study.reason,
        revision=study.revision,
        patient_id=study.patient_id,
        accession_number=study.accession_number,
        description=study.description,
        instances=instances or 0,
        jobs=jobs or 0,
        received_at=study.received_at,
    )


def _series_line(series: Series) -> SeriesLine:
    own_results = sum(instance.is_own_result for instance in series.instances)
    return SeriesLine(
        series_instance_uid=series.series_instance_uid,
        modality=series.modality,
        description=series.description,
        instances=len(series.instances) - own_results,
        own_results=own_results,
    )


def _series_title(series: Series) -> str:
    """Name a series by number, modality and description."""
    number = series.instances[0].header.get("SeriesNumber", "") if series.instances else ""
    return " ".join(str(part) for part in (number, series.modality, series.description) if part != "")


def _decision_lines(study: Study) -> list[DecisionLine]:
    return [
        DecisionLine(
            revision=decision.revision,
            rule=decision.rule,
            series=_series_title(decision.series),
            series_instance_uid=decision.series.series_instance_uid,
            instances=decision.instance_count,
            is_match=decision.is_match,
            reasons=tuple(decision.reasons),
        )
        for decision in study.decisions
    ]


def _job_line(job: Job) -> JobLine:
    return JobLine(
        job=job.id,
        revision=job.revision,
        model=job.model,
        inputs=tuple(entry.instance.sop_instance_uid for entry in job.inputs),
        state=str(job.state),
        attempts=job.attempts,
        reason=job.reason,
        kept=f"embedding of {len(job.embedding.numbers)} numbers" if job.embedding else "",
    )


def _delivery_line(delivery: Delivery) -> DeliveryLine:
    return DeliveryLine(
        delivery=delivery.id,
        study_instance_uid=delivery.result.job.study.study_instance_uid,
        kind=delivery.result.kind,
        sop_instance_uid=delivery.result.sop_instance_uid,
        destination=delivery.destination,
        state=str(delivery.state),
        attempts=delivery.attempts,
        answer=delivery.answer,
        due_at=delivery.due_at,
        sent_at=delivery.sent_at,
        committed_at=delivery.committed_at,
    )


def _event_line(event: Event) -> EventLine:
    return EventLine(event.at, event.name, event.detail)
