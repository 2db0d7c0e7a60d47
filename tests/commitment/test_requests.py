"""A peer's request for commitment is on record before it is answered, once, and only where we can report."""

from __future__ import annotations

from pathlib import Path

import pytest
from committing import ASKER, request_for, side
from sqlalchemy import func, select

from node.commitment import requests
from node.commitment.information import MOST_REFERENCES
from node.database import CommitmentReference
from node.errors import TooMuchAsked, TransactionReused, UnknownPeer
from node.states import CommitmentState
from node.vocabulary import CommitmentRequest, InstanceReference

ONE, OTHER = InstanceReference("1.2", "1.2.3"), InstanceReference("1.2", "1.2.4")


def test_a_request_is_on_record_when_it_is_answered(tmp_path: Path) -> None:
    node = side(tmp_path)
    node.take(request_for(ONE, OTHER))
    (row,) = node.commitments()
    assert (row.calling_ae_title, row.transaction_uid, row.state) == (ASKER, "1.2.77", CommitmentState.ASKED)
    assert node.events() == ["commitment received"]


def test_a_peer_without_an_address_is_told_where_to_add_it(tmp_path: Path) -> None:
    node = side(tmp_path)
    with pytest.raises(UnknownPeer, match=r"add STRANGER to peers\.toml"):
        node.take(request_for(ONE), "STRANGER")
    assert node.commitments() == []


def test_a_request_that_is_sent_twice_is_there_once_in_whatever_order(tmp_path: Path) -> None:
    node = side(tmp_path)
    node.take(request_for(ONE, OTHER))
    node.take(request_for(OTHER, ONE))
    assert len(node.commitments()) == 1
    with node.keeper.database.reading() as session:
        assert session.scalar(select(func.count(CommitmentReference.id))) == 2


def test_a_transaction_is_not_used_twice_for_other_instances(tmp_path: Path) -> None:
    node = side(tmp_path)
    node.take(request_for(ONE))
    with pytest.raises(TransactionReused):
        node.take(request_for(OTHER))


def test_two_peers_may_choose_the_same_transaction(tmp_path: Path) -> None:
    node = side(tmp_path)
    node.settings.peers["other"] = node.settings.peers["asker"].model_copy(update={"ae_title": "OTHER"})
    node.take(request_for(ONE))
    node.take(request_for(OTHER), "OTHER")
    assert len(node.commitments()) == 2


def test_a_peer_that_leaves_too_many_open_is_asked_to_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "MOST_OPEN", 2)
    node = side(tmp_path)
    for number in range(2):
        node.take(request_for(ONE, transaction_uid=f"1.2.{number}"))
    with pytest.raises(TooMuchAsked):
        node.take(request_for(ONE, transaction_uid="1.2.2"))
    node.take(request_for(ONE, transaction_uid="1.2.1"))  # which is open already
    node.judgement.judge_asked()
    with node.keeper.database.writing() as session:
        requests.close_request(session, session.merge(node.commitments()[0]), CommitmentState.REPORTED)
    node.take(request_for(ONE, transaction_uid="1.2.2"))


def test_as_many_instances_as_one_request_may_name_are_taken(tmp_path: Path) -> None:
    node = side(tmp_path)
    named = tuple(InstanceReference("1.2", f"1.2.{number}") for number in range(MOST_REFERENCES))
    node.take(CommitmentRequest("1.2.77", named))
    with node.keeper.database.reading() as session:
        assert session.scalar(select(func.count(CommitmentReference.id))) == len(named)
