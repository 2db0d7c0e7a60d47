"""A transaction at hand: SQLite's connection, for statements that need no session, and the events it is to commit."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from sqlalchemy import PoolProxiedConnection
from sqlalchemy.orm import Session

_KEY = "transaction"


@dataclass(frozen=True)
class Transaction:
    """A connection that holds the write lock, and the names of the events recorded in it so far."""

    driver: sqlite3.Connection
    recorded: list[str] = field(default_factory=list)

    @classmethod
    def on(cls, pooled: PoolProxiedConnection) -> Transaction:
        """Return the transaction on a connection of SQLAlchemy's pool."""
        driver = pooled.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return cls(driver)


def enter_session(session: Session) -> Transaction:
    """Begin the session's transaction, and let `transaction_of` find it."""
    transaction = Transaction.on(session.connection().connection)
    session.info[_KEY] = transaction
    return transaction


def transaction_of(session: Session) -> Transaction:
    """Return the transaction of a session that writes; what its objects stand for is there once it is flushed."""
    transaction: Transaction = session.info[_KEY]
    return transaction
