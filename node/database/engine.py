"""The SQLite engine: durable commits, one writer at a time, migrations that run by themselves."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from node import faults
from node.database.failures import name_failure
from node.database.prepared import Prepared
from node.database.revisions import MIGRATIONS, newest_revision, revision_of
from node.database.standing import StandingConnection
from node.database.transaction import Transaction, enter_session
from node.faults import FaultPoint

_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",  # a commit that was answered survives the loss of power
    "PRAGMA foreign_keys=ON",
)
_UNFLUSHED = "PRAGMA synchronous=NORMAL"  # it survives the death of the process, and may be lost with the power


class Database:
    """The node's state, in one SQLite file shared by the node and its workers."""

    def __init__(self, path: Path, busy_seconds: float = 30.0) -> None:
        """Open (or create) the file at `path`; call `migrate` before the first use.

        A writer waits up to `busy_seconds` for another.
        """
        self.path = path
        self._busy_seconds = busy_seconds
        self._engine = _build_engine(path, busy_seconds, _PRAGMAS)
        self._writer = self._engine.execution_options(is_writer=True)
        self._unflushed_engine = _build_engine(path, busy_seconds, (*_PRAGMAS, _UNFLUSHED))
        self._unflushed_writer = self._unflushed_engine.execution_options(is_writer=True)
        self._adders = {True: StandingConnection(self._engine), False: StandingConnection(self._unflushed_engine)}
        self._asker = StandingConnection(self._engine)

    def migrate(self) -> None:
        """Bring the tables to the newest revision; does nothing when they are there already."""
        with self._named_failures(), self._asker.lent() as driver:
            if revision_of(driver) == newest_revision():
                return
        from alembic import command  # noqa: PLC0415 - a start without a migration need not wait for this
        from alembic.config import Config  # noqa: PLC0415

        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        with self._named_failures(), self._writer.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Give a session over one consistent snapshot; writers are not blocked."""
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self, *, is_flushed: bool = True) -> Iterator[Session]:
        """Give a session that holds the write lock from its start and commits at its end.

        Everything read inside is what will be true at the commit, so no decision made in it can be
        overtaken. A commit that is not flushed survives the death of the process, and the loss of power only
        once a later one is flushed, or `sync` was called. An exception rolls everything back. Raises
        DatabaseBusy when another process keeps the write lock, ArchiveFull when there is no room,
        DatabaseUnusable when the file is damaged.
        """
        writer = self._writer if is_flushed else self._unflushed_writer
        with self._named_failures(), Session(writer, expire_on_commit=False) as session:
            with session.begin():
                transaction = enter_session(session)
                faults.reach(FaultPoint.WRITE_LOCKED)
                yield session
                session.flush()
                faults.reach(FaultPoint.ROWS_WRITTEN)
            _reach_committed(transaction.recorded)

    def prepare_adding(self) -> None:
        """Open the connections of `adding`, so that nobody who takes every descriptor later can keep rows out."""
        with self._named_failures():
            for standing in self._adders.values():
                standing.open()

    @contextmanager
    def adding(self, *, is_flushed: bool = True) -> Iterator[Transaction]:
        """Give a transaction for prepared statements alone; of its lock, commit and errors all of `writing` is true.

        Opening and closing a session takes longer than SQLite takes for three rows. One thread at a time has it.
        """
        with self._named_failures(), self._adders[is_flushed].lent() as driver:
            transaction = Transaction(driver)
            driver.execute("BEGIN IMMEDIATE")
            faults.reach(FaultPoint.WRITE_LOCKED)
            yield transaction
            faults.reach(FaultPoint.ROWS_WRITTEN)
            driver.commit()
        _reach_committed(transaction.recorded)

    def ask(self, question: Prepared, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows that a prepared SELECT finds now; for what is asked many times a second, mostly in vain."""
        with self._named_failures(), self._asker.lent() as driver:
            return question.run(Transaction(driver), values)

    @contextmanager
    def _named_failures(self) -> Iterator[None]:
        """Say what SQLite's errors mean; any other passes as it is."""
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            found = error.orig if isinstance(error, DBAPIError) else error
            named = name_failure(self.path, found, self._busy_seconds)
            if named is None:
                raise
            raise named from error

    def sync(self) -> None:
        """Return once every commit so far is on the device."""
        with suppress(FileNotFoundError):  # nothing was written since the log was last emptied
            descriptor = os.open(f"{self.path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        """Close every connection."""
        for standing in (*self._adders.values(), self._asker):
            standing.close()
        self._engine.dispose()
        self._unflushed_engine.dispose()


def _reach_committed(recorded: Iterable[str]) -> None:
    faults.reach(FaultPoint.ROWS_COMMITTED)
    for event_name in recorded:
        faults.reach(f"{event_name} committed")


def _build_engine(path: Path, busy_seconds: float, pragmas: Sequence[str]) -> Engine:
    # A statement's parameters may be a patient's name; errors must not quote them.
    engine = create_engine(f"sqlite:///{path}", hide_parameters=True, connect_args={"timeout": busy_seconds})

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # SQLAlchemy's BEGIN below decides, not the driver
        for pragma in pragmas:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_writer = connection.get_execution_options().get("is_writer", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writer else "BEGIN")

    return engine
