"""The rows of associations: what shares their commit, and when the loss of power may still take them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from clocks import ManualClock
from rows import gathering, received
from sqlalchemy import select
from sqlalchemy.orm import Session
from waiting import until

from node import faults
from node.database import Association, Database, Event, Transaction
from node.errors import DatabaseBusy
from node.studies.index import InstanceIndex
from node.vocabulary import Admission


class Watched(Database):
    """A database that remembers of each of its commits whether it was flushed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, busy_seconds=0.1)
        self.flushes: list[bool] = []

    @contextmanager
    def adding(self, *, is_flushed: bool = True) -> Iterator[Transaction]:
        with super().adding(is_flushed=is_flushed) as transaction:
            yield transaction
        self.flushes.append(is_flushed)

    @contextmanager
    def writing(self, *, is_flushed: bool = True) -> Iterator[Session]:
        with super().writing(is_flushed=is_flushed) as session:
            yield session
        self.flushes.append(is_flushed)

    def take_flushes(self) -> list[bool]:
        """Return what there was since the last call."""
        flushes, self.flushes = self.flushes, []
        return flushes


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Watched]:
    database = Watched(tmp_path / "radnode.db")
    database.migrate()
    yield database
    database.close()


@pytest.fixture
def index(database: Watched) -> InstanceIndex:
    """An index whose instances a journal could record again."""
    return InstanceIndex(database, ManualClock(), flushes_instances=False)


def opened(index: InstanceIndex) -> int:
    return index.open_association("XRAY", "127.0.0.1", "RADNODE")


def test_an_association_that_brings_nothing_waits_for_no_flush(index: InstanceIndex, database: Watched) -> None:
    index.close_association(opened(index), "released")
    assert database.take_flushes() == [False, False]


def test_an_association_is_on_the_device_with_its_first_instance(index: InstanceIndex, database: Watched) -> None:
    for number in (1, 3):
        association = opened(index)
        database.take_flushes()
        index.record(received(number), association)
        assert True in database.take_flushes()
        index.record(received(number + 1), association)
        assert database.take_flushes() == [False]
        index.close_association(association, "released")


def test_an_instance_that_was_not_recorded_does_not_count_as_the_first(
    index: InstanceIndex, database: Watched
) -> None:
    association = opened(index)
    with sqlite3.connect(database.path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            index.record(received(1), association)
        other.execute("ROLLBACK")
    database.take_flushes()
    assert index.record(received(1), association) is Admission.NEW
    assert True in database.take_flushes()


def test_an_association_that_is_open_has_not_ended_in_any_way(index: InstanceIndex, database: Watched) -> None:
    key = opened(index)
    with database.reading() as session:
        row = session.get_one(Association, key)
        assert (row.closed_at, row.closed_how) == (None, "")


def test_the_event_of_a_rejection_says_who_called_from_where_and_why_it_was_none(
    index: InstanceIndex, database: Watched
) -> None:
    index.record_rejection("STRANGER", "10.9.9.9", "RADNODE", "rejected: unknown")
    with database.reading() as session:
        (event,) = session.scalars(select(Event))
    assert (event.name, event.detail) == (
        "association rejected",
        {"calling_ae_title": "STRANGER", "address": "10.9.9.9", "how": "rejected: unknown"},
    )


def test_a_caller_that_was_sent_away_is_on_the_device(index: InstanceIndex, database: Watched) -> None:
    index.record_rejection("STRANGER", "10.9.9.9", "RADNODE", "rejected: unknown")
    assert database.take_flushes() == [True]


def test_associations_that_open_and_end_while_others_wait_share_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = gathering(tmp_path)
    keys = [opened(side.index) for _ in range(3)]
    rounds = side.index._additions._rounds
    reached: list[str] = []
    with sqlite3.connect(side.database.path, isolation_level=None) as holder, ThreadPoolExecutor() as pool:
        holder.execute("BEGIN IMMEDIATE")
        ends = [pool.submit(side.index.close_association, keys[0], "released")]
        until(lambda: rounds._is_running and not rounds._waiting)
        ends += [pool.submit(side.index.close_association, key, "released") for key in keys[1:]]
        others = [pool.submit(opened, side.index) for _ in range(3)]
        until(lambda: len(rounds._waiting) == 5)
        monkeypatch.setattr(faults, "reach", reached.append)  # to listen: unarmed, a fault point does nothing
        holder.execute("ROLLBACK")
        for end in ends:
            end.result()
    assert len({other.result() for other in others} | set(keys)) == 6
    assert reached.count("rows committed") == 2  # of the one that held the round up, and of all behind it
    assert reached.count("association closed committed") == reached.count("association opened committed") == 3
