"""Follows the events in the database and gives each sink its audit messages, none lost."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.audit.happenings import audit_messages
from node.audit.message import write_message
from node.audit.sinks import Entry, Sink
from node.database import AuditPosition, Database, Event
from node.errors import AuditUndelivered
from node.settings import Settings

EVENTS_AT_ONCE = 500

logger = logging.getLogger("radnode.audit")


class AuditTrail:
    """Writes what happened to every sink; each has its own place, so one that is away holds up no other.

    A place is committed after the sink took the messages: one that comes back after a crash may get
    some of them twice, never fewer.
    """

    def __init__(self, database: Database, settings: Settings, sinks: Sequence[Sink]) -> None:
        self._database = database
        self._settings = settings
        self._sinks = sinks
        self._silent: set[str] = set()

    def write_new(self) -> int:
        """Give every sink what it has not had, and return how many messages there were."""
        return sum(self._write_to(sink) for sink in self._sinks)

    def _write_to(self, sink: Sink) -> int:
        written = 0
        while True:
            with self._database.reading() as session:
                last, entries = self._entries_after(session, _position(session, sink.name))
            if last is None:
                return written
            try:
                if entries:
                    sink.write(entries)
            except AuditUndelivered as error:
                self._complain(sink, error)
                return written
            self._silent.discard(sink.name)
            with self._database.writing() as session:
                session.merge(AuditPosition(sink=sink.name, event_id=last))
            written += len(entries)

    def _entries_after(self, session: Session, event_id: int) -> tuple[int | None, list[Entry]]:
        """Return the number of the last event looked at, None if there is none, and the messages of all."""
        query = select(Event).where(Event.id > event_id).order_by(Event.id).limit(EVENTS_AT_ONCE)
        events = session.scalars(query).all()
        source = self._settings.node.ae_title
        entries = [
            Entry(message.at, write_message(message, source))
            for event in events
            for message in audit_messages(session, event, self._settings)
        ]
        return (events[-1].id if events else None), entries

    def _complain(self, sink: Sink, error: AuditUndelivered) -> None:
        """Log once that a sink takes nothing, until it does again."""
        if sink.name not in self._silent:
            self._silent.add(sink.name)
            logger.error("audit messages wait", extra={"fields": {"sink": sink.name, "reason": str(error)}})


def _position(session: Session, sink: str) -> int:
    position = session.get(AuditPosition, sink)
    return 0 if position is None else position.event_id
