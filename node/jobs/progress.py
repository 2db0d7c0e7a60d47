"""A study's progress, derived from its jobs and deliveries and never set by hand."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import Delivery, EventName, Job, Result, Study, record_event
from node.errors import IllegalMove
from node.states import DeliveryState, JobState, StudyState

# Nothing of a study in one of these is analysed or sent.
STOPPED = frozenset({StudyState.HELD, StudyState.CANCELLED, StudyState.REMOVED})

_NOT_DERIVED = STOPPED | {StudyState.RECEIVING}
_WAITING_JOBS = {JobState.QUEUED, JobState.RUNNING}
_STUCK_JOBS = {JobState.REFUSED, JobState.FAILED}
_WAITING_DELIVERIES = {DeliveryState.PENDING, DeliveryState.RETRYING}


def derive_progress(session: Session, study: Study) -> None:
    """Move the study to where its jobs and deliveries are; one that receives or that a person decided on stays."""
    session.flush()
    session.refresh(study, ["jobs"])
    if study.state in _NOT_DERIVED:
        return
    study.move(_progress_of(session, study))


def hold_study(session: Session, clock: Clock, study: Study, reason: str, **detail: str) -> None:
    """Stop everything about a study until a person has looked at it; a held one keeps its first reason.

    `detail` goes to the event.
    """
    if study.state != StudyState.HELD:
        study.held_from = str(study.state)
        study.move(StudyState.HELD)
        study.reason = reason
        record_event(session, clock.now(), EventName.STUDY_HELD, study, **detail)


def release_hold(session: Session, study: Study) -> None:
    """Put a held study back to where it was held from, and on to where its jobs and deliveries are by now.

    Raises IllegalMove when it is not held.
    """
    if study.state != StudyState.HELD:
        raise IllegalMove(f"study {study.study_instance_uid} is {study.state}; only a held study can be released")
    study.move(StudyState(study.held_from or StudyState.RECEIVING))
    study.reason = study.held_from = ""
    derive_progress(session, study)


def _progress_of(session: Session, study: Study) -> StudyState:
    jobs = [job for job in study.jobs if job.state != JobState.CANCELLED]
    deliveries = _delivery_states(session, study)
    states = {job.state for job in jobs}
    if not jobs:
        return StudyState.UNMATCHED
    if states & _STUCK_JOBS or DeliveryState.DEAD in deliveries:
        return StudyState.ATTENTION
    if states & _WAITING_JOBS or deliveries & _WAITING_DELIVERIES:
        return StudyState.ANALYSING
    return StudyState.DONE


def _delivery_states(session: Session, study: Study) -> set[DeliveryState]:
    """Return the states of what the jobs that count have sent, in one query: there may be hundreds of objects."""
    states = select(Delivery.state).join(Delivery.result).join(Result.job)
    counted = states.where(Job.study_id == study.id, Job.state != JobState.CANCELLED)
    return set(session.scalars(counted.distinct()))
