"""Group commit: many transactions, one flush, and nobody hears of success before it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from waiting import PATIENCE_SECONDS, until

from node.database import Database, GroupCommit, Sender
from node.errors import DatabaseBusy


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "radnode.db", busy_seconds=PATIENCE_SECONDS)
    database.migrate()
    yield database
    database.close()


def adding(name: str) -> Sender:
    return Sender(ae_title=name, virtual_time=0.0)


def add(group: GroupCommit, name: str, ends: list[str]) -> threading.Thread:
    """Add a row in a thread of its own, and note how that ended."""

    def act(session: Session) -> str:
        session.add(adding(name))
        session.flush()
        return name

    def run() -> None:
        try:
            ends.append(group.run(act))
        except (IntegrityError, DatabaseBusy) as error:
            ends.append(type(error).__name__)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def rows(database: Database) -> set[str]:
    with database.reading() as session:
        return {sender.ae_title for sender in session.query(Sender)}


def commits_of(database: Database) -> list[int]:
    """Return a list that grows with every commit of a writer."""
    commits: list[int] = []
    event.listen(database._engine, "commit", lambda _connection: commits.append(1))
    return commits


def waiting(group: GroupCommit) -> int:
    return len(group._rounds._waiting)


def test_transactions_that_wait_for_the_lock_together_are_one_commit(database: Database, tmp_path: Path) -> None:
    group, ends, commits = GroupCommit(database.writing), [], commits_of(database)
    with sqlite3.connect(tmp_path / "radnode.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        threads = [add(group, "A", ends)]
        until(lambda: group._rounds._is_running and not waiting(group))
        threads += [add(group, name, ends) for name in "BCD"]
        until(lambda: waiting(group) == 3)
        assert ends == []
        holder.execute("ROLLBACK")
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(ends) == list("ABCD")
    assert rows(database) == set("ABCD")
    assert len(commits) == 2


def test_one_that_fails_takes_nothing_of_the_others_back(database: Database, tmp_path: Path) -> None:
    group, ends = GroupCommit(database.writing), []
    with sqlite3.connect(tmp_path / "radnode.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        threads = [add(group, "A", ends)]
        until(lambda: group._rounds._is_running and not waiting(group))
        threads += [add(group, name, ends) for name in "BAC"]
        until(lambda: waiting(group) == 3)
        holder.execute("ROLLBACK")
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    assert sorted(ends) == ["A", "B", "C", "IntegrityError"]
    assert rows(database) == set("ABC")


def test_a_lock_that_stays_is_named_to_all_who_wait_and_nothing_is_written(tmp_path: Path) -> None:
    database = Database(tmp_path / "radnode.db", busy_seconds=0.5)
    database.migrate()
    group, ends = GroupCommit(database.writing), []
    with sqlite3.connect(tmp_path / "radnode.db", isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        threads = [add(group, name, ends) for name in "ABCD"]
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
        holder.execute("ROLLBACK")
    assert set(ends) == {"DatabaseBusy"}
    assert len(ends) == 4
    assert rows(database) == set()
    assert group.run(lambda session: session.execute(text("SELECT 1")).scalar()) == 1
    database.close()
