"""Events: one row and one log line for everything that happens to a study."""

from __future__ import annotations

import logging
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from node import faults
from node.database.prepared import Prepared
from node.database.tables import Delivery, Event, Job, Study
from node.database.transaction import Transaction, transaction_of

logger = logging.getLogger("radnode")


class EventName(StrEnum):
    """Every event the node records; the same words stand in the log."""

    NODE_STARTED = "node started"
    NODE_STOPPED = "node stopped"
    TIME_SKIPPED = "time skipped"
    ASSOCIATION_OPENED = "association opened"
    ASSOCIATION_CLOSED = "association closed"
    ASSOCIATION_REJECTED = "association rejected"
    INSTANCE_KEPT = "instance kept"
    INSTANCE_REPEATED = "instance repeated"
    INSTANCE_CONFLICT = "instance conflict"
    FILE_MISSING = "file missing"
    FILE_CHANGED = "file changed"
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
    COMMITMENT_RECEIVED = "commitment received"
    COMMITMENT_JUDGED = "commitment judged"
    COMMITMENT_REPORTED = "commitment reported"
    COMMITMENT_UNREPORTED = "commitment unreported"
    COMMITMENT_ASKED = "commitment asked"
    DELIVERY_COMMITTED = "delivery committed"
    DELIVERY_NOT_COMMITTED = "delivery not committed"
    DELIVERY_NEVER_COMMITTED = "delivery never committed"


# Those that a person has to look at: the log has them as errors, so that a monitor can raise the alarm.
ALERTS = frozenset(
    {
        EventName.INSTANCE_CONFLICT,
        EventName.FILE_MISSING,
        EventName.FILE_CHANGED,
        EventName.STUDY_HELD,
        EventName.JOB_FAILED,
        EventName.DELIVERY_DEAD,
        EventName.COMMITMENT_UNREPORTED,
    }
)

# What deserves a look, though nothing of ours is the worse for it.
_WARNINGS = frozenset(
    {
        EventName.TIME_SKIPPED,
        EventName.ASSOCIATION_REJECTED,
        EventName.DELIVERY_NOT_COMMITTED,
        EventName.DELIVERY_NEVER_COMMITTED,
    }
)

Subject = Study | Job | Delivery

# A statement and no object: there is an event for each instance, and a session takes its time over objects.
_INSERT = Prepared(insert(Event), [column.name for column in Event.__table__.columns if column.name != "id"])
_ABOUT_NOTHING = dict.fromkeys(("association_id", "study_id", "job_id", "delivery_id"))


def record_event(
    session: Session, at: datetime, name: EventName, subject: Subject | None, **detail: Any
) -> None:
    """Add one event about `subject`, or about the node itself, to the session's transaction and log it.

    `detail` holds identifiers, counts and durations, never a patient's name, ID or birth date.
    The subject must have its primary key, so flush a new row first.
    """
    match subject:
        case Study():
            about = {"study_id": subject.id}
        case Job():
            about = {"study_id": subject.study_id, "job_id": subject.id}
        case Delivery():
            job = subject.result.job
            about = {"study_id": job.study_id, "job_id": job.id, "delivery_id": subject.id}
        case None:
            about = {}
    _record(transaction_of(session), at, name, about, detail)


def record_study_event(
    transaction: Transaction, at: datetime, name: EventName, study_id: int, **detail: Any
) -> None:
    """Do what `record_event` does, about a study of which only the key is at hand."""
    _record(transaction, at, name, {"study_id": study_id}, detail)


def record_association_event(
    transaction: Transaction, at: datetime, name: EventName, association_id: int, **detail: Any
) -> None:
    """Do what `record_event` does, about an association."""
    _record(transaction, at, name, {"association_id": association_id}, detail)


def _record(
    transaction: Transaction, at: datetime, name: EventName, about: dict[str, int], detail: dict[str, Any]
) -> None:
    row = {**_ABOUT_NOTHING, **about, "at": at, "name": str(name), "detail": detail}
    _INSERT.run(transaction, row)
    transaction.recorded.append(name)
    faults.reach(name)
    identifiers = {key.removesuffix("_id"): value for key, value in about.items()}
    logger.log(_level(name), str(name), extra={"fields": identifiers | detail})


def _level(name: EventName) -> int:
    if name in ALERTS:
        return logging.ERROR
    return logging.WARNING if name in _WARNINGS else logging.INFO
