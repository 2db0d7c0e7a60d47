"""A connection that stays open: taking one from the pool takes longer than SQLite takes for a small statement."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine

from node.database.transaction import Transaction


class StandingConnection:
    """One of SQLite's connections, lent to one thread at a time; opened when it is first needed, if not before."""

    def __init__(self, engine: Engine) -> None:
        """Open the connection as this engine opens its own."""
        self._engine = engine
        self._lock = threading.Lock()
        self._driver: sqlite3.Connection | None = None

    @contextmanager
    def lent(self) -> Iterator[sqlite3.Connection]:
        """Give the connection; an error closes it, which rolls back what was begun."""
        with self._lock:
            try:
                yield self._opened()
            except BaseException:
                self._close()
                raise

    def open(self) -> None:
        """Open the connection now, and not when it is first needed."""
        with self._lock:
            self._opened()

    def close(self) -> None:
        """Close the connection; the next one who needs it opens another."""
        with self._lock:
            self._close()

    def _opened(self) -> sqlite3.Connection:
        if self._driver is None:
            pooled = self._engine.raw_connection()
            self._driver = Transaction.on(pooled).driver
            pooled.detach()  # the pool forgets it
        return self._driver

    def _close(self) -> None:
        if self._driver is not None:
            self._driver.close()
            self._driver = None
