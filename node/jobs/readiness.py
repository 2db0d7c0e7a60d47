"""Which jobs could change hands now; asked many times a second, mostly in vain, and without the write lock."""

from __future__ import annotations

from sqlalchemy import Float, String, and_, bindparam, or_, select

from node.clock import Clock
from node.database import Database, Job, Prepared, Study
from node.jobs.progress import STOPPED
from node.states import JobState

_BOOT_ID, _SECONDS = bindparam("boot_id", type_=String()), bindparam("seconds", type_=Float())

# What a worker did not die of just now; in another boot everything has rested.
_HAS_RESTED = or_(Job.lease_until_seconds <= _SECONDS, Job.lease_boot_id != _BOOT_ID)
_HAS_LAPSED = or_(Job.lease_until_seconds < _SECONDS, Job.lease_boot_id != _BOOT_ID)

# To be run with `moment`. Jobs of a study that a person holds or has cancelled wait.
_IS_CLAIMABLE = and_(Job.state == JobState.QUEUED, *(Study.state != state for state in sorted(STOPPED)), _HAS_RESTED)
_IS_LAPSED = and_(Job.state == JobState.RUNNING, _HAS_LAPSED)
CLAIMABLE = select(Job).join(Job.study).where(_IS_CLAIMABLE)
LAPSED = select(Job).where(_IS_LAPSED)

_ANY = (
    Prepared(select(Job.id).join(Job.study).where(_IS_CLAIMABLE).limit(1)),
    Prepared(select(Job.id).where(_IS_LAPSED).limit(1)),
)


def moment(clock: Clock) -> dict[str, str | float]:
    """Return the parameters that say which boot this is, and how long it lasts."""
    return {"boot_id": clock.boot_id, "seconds": clock.boot_seconds()}


def is_anything_ready(database: Database, clock: Clock) -> bool:
    """Tell whether a job can be claimed, or a lease has run out."""
    now = moment(clock)
    return any(database.ask(question, **now) for question in _ANY)
