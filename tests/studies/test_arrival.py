"""Usual arrivals: rows without a session, many of them in one commit, and nobody's fault is another's."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from rows import Gathering, gathering, received
from sqlalchemy import event, select
from waiting import until

from node import faults
from node.database import Instance
from node.errors import DatabaseBusy
from node.studies.overview import describe_study
from node.vocabulary import Admission, ReceivedInstance


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    started = gathering(tmp_path)
    started.bring(received(1))
    return started


@contextmanager
def held_up(side: Gathering, *instances: ReceivedInstance) -> Iterator[list[Future[Admission]]]:
    """Bring instances over one association each while another holds the database, and let it go at the end."""
    rounds = side.index._usual._commits._rounds
    with sqlite3.connect(side.database.path, isolation_level=None) as holder, ThreadPoolExecutor() as pool:
        keys = [side.index.open_association("XRAY", "127.0.0.1", "RADNODE") for _ in instances]
        holder.execute("BEGIN IMMEDIATE")
        brought = [pool.submit(side.index.record, instances[0], keys[0])]
        until(lambda: rounds._is_running and not rounds._waiting)
        for instance, key in zip(instances[1:], keys[1:], strict=True):
            brought.append(pool.submit(side.index.record, instance, key))
        until(lambda: len(rounds._waiting) == len(instances) - 1)
        yield brought
        holder.execute("ROLLBACK")


def kept(side: Gathering) -> set[str]:
    with side.database.reading() as session:
        return set(session.scalars(select(Instance.sop_instance_uid)))


def test_those_that_wait_for_the_lock_together_share_one_commit(
    side: Gathering, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    with held_up(side, *(received(number) for number in range(2, 6))) as brought:
        monkeypatch.setattr(faults, "reach", reached.append)  # to listen: unarmed, a fault point does nothing
    assert [one.result() for one in brought] == [Admission.NEW] * 4
    assert kept(side) == {f"1.2.3.4.{number}" for number in range(1, 6)}
    assert reached.count("rows committed") == 2  # of the one that held the round up, and of the three behind it
    assert reached.count("instance kept committed") == 4


def test_a_row_that_sqlite_does_not_take_costs_the_others_nothing(side: Gathering) -> None:
    no_text = replace(received(3), path="instances/\ud800.dcm")
    with held_up(side, received(2), no_text, received(4)) as brought:
        pass
    assert isinstance(brought[1].exception(), UnicodeEncodeError)
    assert [brought[0].result(), brought[2].result()] == [Admission.NEW] * 2
    assert kept(side) == {"1.2.3.4.1", "1.2.3.4.2", "1.2.3.4.4"}


def test_a_database_that_is_held_is_waited_for_once_and_named(tmp_path: Path) -> None:
    side = gathering(tmp_path, busy_seconds=0.2)
    side.bring(received(1))
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    with sqlite3.connect(side.database.path, isolation_level=None) as holder:
        holder.execute("BEGIN IMMEDIATE")
        sessions: list[object] = []
        event.listen(side.database._engine, "begin", sessions.append)
        with pytest.raises(DatabaseBusy, match=r"held it for more than 0\.2 s"):
            side.index.record(received(2), association)
        assert sessions == []  # which would wait as long again
        holder.execute("ROLLBACK")
    assert side.index.record(received(2), association) is Admission.NEW


def test_a_usual_arrival_leaves_what_any_other_does(side: Gathering) -> None:
    side.bring(received(2))
    with side.database.reading() as session:
        first, second = session.scalars(select(Instance).order_by(Instance.id))
    alike = ("series_id", "sop_class_uid", "transfer_syntax_uid", "header", "size", "is_own_result", "received_at")
    assert [getattr(first, name) for name in alike] == [getattr(second, name) for name in alike]
    assert (second.sop_instance_uid, second.path, second.sha256) == (
        received(2).sop_instance_uid,
        received(2).path,
        received(2).sha256,
    )
    events = [one for one in describe_study(side.database, "1.2.3").events if one.name == "instance kept"]
    assert [one.detail for one in events] == [{"sop_instance_uid": f"1.2.3.4.{number}"} for number in (1, 2)]


def test_a_result_of_ours_that_comes_back_is_no_usual_arrival_even_of_a_series_that_is_known(side: Gathering) -> None:
    own = received(2)
    side.make_result(own)
    assert side.bring(own, received(3)) == ["own result", "new"]
