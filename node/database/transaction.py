"""A transaction at hand: SQLite's connection, for statements that need no session, and the events it is to commit."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

_KEY = "transaction"


@dataclass(frozen=True)
class Transaction:
    """A connection that holds the write lock, and the names of the events recorded in it so far."""

    driver: sqlite3.Connection
    recorded: list[str] = field(default_factory=list)


def enter_session(session: Session) -> None:
    """Begin the session's transaction, and let `transaction_of` find it."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    session.info[_KEY] = Transaction(driver)


def transaction_of(session: Session) -> Transaction:
    """Return the transaction of a session that writes; what its objects stand for is there once it is flushed."""
    transaction: Transaction = session.info[_KEY]
    return transaction
