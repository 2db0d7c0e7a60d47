"""Connections that stay open: what they find is of now, and an error costs nobody after it anything."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import bindparam, insert, or_, select

from node.database import Database, Prepared, Sender
from node.database.engine import _build_engine
from node.database.standing import StandingConnection
from node.errors import DatabaseBusy

ADD = Prepared(insert(Sender), ["ae_title", "virtual_time"])
FIND = Prepared(
    select(Sender.ae_title)
    .where(or_(Sender.virtual_time == bindparam("time"), Sender.ae_title == "ALWAYS"))
    .order_by(Sender.ae_title)
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "radnode.db", busy_seconds=0.1)
    database.migrate()
    yield database
    database.close()


def add(database: Database, title: str, time: float) -> None:
    with database.adding() as transaction:
        ADD.run(transaction, {"ae_title": title, "virtual_time": time})


def test_a_question_finds_what_is_committed_by_now_and_nothing_else(database: Database) -> None:
    assert database.ask(FIND, time=1.0) == []
    with database.writing() as session:
        session.add(Sender(ae_title="ONE", virtual_time=1.0))
        session.flush()
        assert database.ask(FIND, time=1.0) == []
    add(database, "ALWAYS", 7.0)
    assert database.ask(FIND, time=1.0) == [("ALWAYS",), ("ONE",)]
    assert database.ask(FIND, time=2.0) == [("ALWAYS",)]


def test_what_an_error_interrupts_is_rolled_back_and_the_next_has_a_connection(database: Database) -> None:
    def fail_half_way() -> None:
        with database.adding() as transaction:
            ADD.run(transaction, {"ae_title": "HALF", "virtual_time": 1.0})
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail_half_way()
    add(database, "WHOLE", 1.0)
    assert database.ask(FIND, time=1.0) == [("WHOLE",)]


def test_who_waits_too_long_for_another_writer_is_told_and_may_come_again(database: Database) -> None:
    with database.writing(), pytest.raises(DatabaseBusy):
        add(database, "LATE", 1.0)
    add(database, "LATE", 1.0)
    assert database.ask(FIND, time=1.0) == [("LATE",)]


def test_who_takes_every_descriptor_keeps_no_rows_out(database: Database) -> None:
    database.prepare_adding()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        for is_flushed in (True, False):
            with database.adding(is_flushed=is_flushed) as transaction:
                ADD.run(transaction, {"ae_title": f"FLUSHED {is_flushed}", "virtual_time": 1.0})
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert database.ask(FIND, time=1.0) == [("FLUSHED False",), ("FLUSHED True",)]


def test_one_connection_is_lent_until_an_error_or_the_end(tmp_path: Path) -> None:
    standing = StandingConnection(_build_engine(tmp_path / "one.db", 1.0, ()))
    with standing.lent() as first:
        first.execute("SELECT 1")
    with standing.lent() as second:
        assert second is first

    def fail() -> None:
        with standing.lent():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    with standing.lent() as third:
        assert third is not first
    standing.close()
    with standing.lent() as fourth:
        assert fourth is not third
    standing.close()
