"""The rows of associations, in prepared statements and no objects, as those of usual arrivals are.

Three quarters of the processor that an association took went into the two sessions that wrote its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from node.clock import Clock
from node.database import Association, EventName, Prepared, Transaction, record_association_event

_ADD = Prepared(
    insert(Association).returning(Association.id),
    [column.name for column in Association.__table__.columns if column.name != "id"],
)
_END = Prepared(
    update(Association)
    .where(Association.id == bindparam("association"), Association.closed_at.is_(None))
    .values(closed_at=bindparam("at"), closed_how=bindparam("how"))
    .returning(Association.id)
)
_FIND_OPEN = Prepared(select(Association.id).where(Association.closed_at.is_(None)))


@dataclass(frozen=True)
class Call:
    """Who called whom, and from which address."""

    calling_ae_title: str
    calling_address: str
    called_ae_title: str


def add_open(call: Call, clock: Clock, transaction: Transaction) -> int:
    """Add an association that is open, and return its row's key."""
    now = clock.now()
    key = _add(transaction, call, now, ended_at=None, how="")
    title = call.calling_ae_title
    record_association_event(transaction, now, EventName.ASSOCIATION_OPENED, key, calling_ae_title=title)
    return key


def add_rejected(call: Call, how: str, clock: Clock, transaction: Transaction) -> None:
    """Add an association that never was open: a caller that was sent away, and `how`."""
    now = clock.now()
    key = _add(transaction, call, now, ended_at=now, how=how)
    detail = {"calling_ae_title": call.calling_ae_title, "address": call.calling_address, "how": how}
    record_association_event(transaction, now, EventName.ASSOCIATION_REJECTED, key, **detail)


def end_all(ends: Mapping[int, str], clock: Clock, transaction: Transaction) -> None:
    """Note how associations ended; of those that had ended nothing changes."""
    for key, how in ends.items():
        now = clock.now()
        if _END.run(transaction, {"association": key, "at": now, "how": how}):
            record_association_event(transaction, now, EventName.ASSOCIATION_CLOSED, key, how=how)


def end_every_open(how: str, clock: Clock, transaction: Transaction) -> int:
    """End all associations that are open, and return how many there were."""
    ends = {key: how for (key,) in _FIND_OPEN.run(transaction, {})}
    end_all(ends, clock, transaction)
    return len(ends)


def _add(transaction: Transaction, call: Call, opened_at: datetime, ended_at: datetime | None, how: str) -> int:
    row = {**vars(call), "opened_at": opened_at, "closed_at": ended_at, "closed_how": how}
    ((key,),) = _ADD.run(transaction, row)
    return int(key)
