"""Fairness: jobs of one priority go by virtual time, so that senders take turns whatever each has queued."""

from __future__ import annotations

from sqlalchemy.orm import Session

from node.database import Job, Sender

# The row of `senders` that is nobody's: its virtual time is that of the job claimed last. No AE title is empty.
_QUEUE = ""
_ONE_JOB = 1.0


def take_turn(session: Session, sender: str) -> float:
    """Return the virtual time of a sender's next job: after its last one, and not before what runs now.

    The second half keeps a sender that was away from claiming the time it did not use.
    """
    row = _row(session, sender)
    row.virtual_time = max(row.virtual_time, _row(session, _QUEUE).virtual_time) + _ONE_JOB
    return row.virtual_time


def note_claim(session: Session, job: Job) -> None:
    """Let virtual time go on to that of a job that begins; it never goes back."""
    queue = _row(session, _QUEUE)
    queue.virtual_time = max(queue.virtual_time, job.virtual_time)


def _row(session: Session, ae_title: str) -> Sender:
    row = session.get(Sender, ae_title)
    if row is None:
        row = Sender(ae_title=ae_title, virtual_time=0.0)
        session.add(row)
        session.flush()
    return row
