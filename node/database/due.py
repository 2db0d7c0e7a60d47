"""Which rows are due by the wall clock, also after it was put back."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, or_
from sqlalchemy.orm import QueryableAttribute


def is_due(
    due_at: QueryableAttribute[datetime] | QueryableAttribute[datetime | None],
    now: datetime,
    longest_wait_seconds: float,
) -> ColumnElement[bool]:
    """Select what is due; a time later than any wait means that the wall clock was put back since."""
    never = now + timedelta(seconds=2 * longest_wait_seconds)
    return or_(due_at <= now, due_at > never)
