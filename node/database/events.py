"""Events: one row and one log line for everything that happens to a study."""

from __future__ import annotations

import logging
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from node import faults
from node.database.engine import RECORDED
from node.database.tables import Association, Delivery, Event, Job, Study

logger = logging.getLogger("radnode")


class EventName(StrEnum):
    """Every event the node records; the same words stand in the log."""

    NODE_STARTED = "node started"
    NODE_STOPPED = "node stopped"
    ASSOCIATION_OPENED = "association opened"
    ASSOCIATION_CLOSED = "association closed"
    ASSOCIATION_REJECTED = "association rejected"
    INSTANCE_KEPT = "instance kept"
    INSTANCE_REPEATED = "instance repeated"
    INSTANCE_CONFLICT = "instance conflict"
    FILE_MISSING = "file missing"
    RESULT_RETURNED = "result returned"
    STUDY_COMPLETE = "study complete"
    STUDY_HELD = "study held"
    STUDY_COMPLETION_ASKED = "study completion asked"
    STUDY_CANCELLED = "study cancelled"
    STUDY_RETRIED = "study retried"
    STUDY_RELEASED = "study released"
    STUDY_REMOVED = "study removed"
    JOB_QUEUED = "job queued"
    JOB_CLAIMED = "job claimed"
    JOB_DONE = "job done"
    JOB_REFUSED = "job refused"
    IDENTITY_DOUBTED = "identity doubted"
    JOB_ATTEMPT_FAILED = "job attempt failed"
    JOB_INTERRUPTED = "job interrupted"
    JOB_FAILED = "job failed"
    JOB_CANCELLED = "job cancelled"
    DELIVERY_QUEUED = "delivery queued"
    DELIVERY_SENT = "delivery sent"
    DELIVERY_DELAYED = "delivery delayed"
    DELIVERY_DEAD = "delivery dead"
    DELIVERY_RESENT = "delivery resent"


# Those that a person has to look at: the log has them as errors, so that a monitor can raise the alarm.
ALERTS = frozenset(
    {EventName.INSTANCE_CONFLICT, EventName.STUDY_HELD, EventName.JOB_FAILED, EventName.DELIVERY_DEAD}
)

# What deserves a look, though nothing of ours is the worse for it.
_WARNINGS = frozenset({EventName.ASSOCIATION_REJECTED})

Subject = Association | Study | Job | Delivery


def record_event(
    session: Session, at: datetime, name: EventName, subject: Subject | None, **detail: Any
) -> None:
    """Add one event about `subject`, or about the node itself, to the session's transaction and log it.

    `detail` holds identifiers, counts and durations, never a patient's name, ID or birth date.
    The subject must have its primary key, so flush a new row first.
    """
    event = Event(at=at, name=str(name), detail=detail)
    match subject:
        case Association():
            event.association_id = subject.id
        case Study():
            event.study_id = subject.id
        case Job():
            event.study_id, event.job_id = subject.study_id, subject.id
        case Delivery():
            job = subject.result.job
            event.study_id, event.job_id, event.delivery_id = job.study_id, job.id, subject.id
    session.add(event)
    session.info.setdefault(RECORDED, []).append(name)
    faults.reach(name)
    logger.log(_level(name), str(name), extra={"fields": _fields(event)})


def _level(name: EventName) -> int:
    if name in ALERTS:
        return logging.ERROR
    return logging.WARNING if name in _WARNINGS else logging.INFO


def _fields(event: Event) -> dict[str, Any]:
    """Return the identifiers and details of an event for the log line."""
    identifiers = {
        "association": event.association_id,
        "study": event.study_id,
        "job": event.job_id,
        "delivery": event.delivery_id,
    }
    return {key: value for key, value in identifiers.items() if value is not None} | event.detail
