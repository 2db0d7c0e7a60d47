"""A report goes to the peer that asked, again and again until it is taken, and once only."""

from __future__ import annotations

import socket
from datetime import timedelta
from pathlib import Path

import pytest
from committing import asker, reference_to, request_for, side
from dcmtk import free_port
from keeping import chest
from sqlalchemy import func, select

from node.database import CommitmentReference
from node.delivery.commitment_reports import GIVE_UP_AFTER
from node.peers import Peer
from node.vocabulary import CommitmentReport, InstanceReference

UNKNOWN = InstanceReference("1.2", "1.2.3")


@pytest.mark.parametrize("knows_roles", [True, False])
def test_the_peer_that_asked_hears_what_became_of_each(tmp_path: Path, knows_roles: bool) -> None:
    with asker(knows_roles=knows_roles) as peer:
        node = side(tmp_path, peer.peer)
        received = node.keeper.bring(chest(1))
        node.judged(request_for(received, UNKNOWN))
        assert node.reports.peers_due() == {"MODALITY"}
        assert node.reports.send_due("MODALITY") == 1
        assert peer.reports == [CommitmentReport("1.2.77", (reference_to(received),), {UNKNOWN: 0x0112})]
        assert (peer.event_types, peer.roles) == ([2], [(False, True)])
    assert node.states() == ["reported"]
    assert node.reports.peers_due() == set()
    assert node.events()[-1] == "commitment reported"
    with node.keeper.database.reading() as session:
        assert session.scalar(select(func.count(CommitmentReference.id))) == 0


def test_where_all_is_kept_the_event_is_that_of_success(tmp_path: Path) -> None:
    with asker() as peer:
        node = side(tmp_path, peer.peer)
        node.judged(request_for(node.keeper.bring(chest(1))))
        node.reports.send_due("MODALITY")
    assert peer.event_types == [1]


@pytest.mark.parametrize("refusal", [0x0110, 0x0112, None], ids=["failure", "unknown", "abort"])
def test_a_report_that_is_refused_or_not_answered_comes_again_later(tmp_path: Path, refusal: int | None) -> None:
    with asker(refusal, refusal) as peer:
        node = side(tmp_path, peer.peer)
        node.judged(request_for(UNKNOWN))
        for seconds in (4, 8):
            node.reports.send_due("MODALITY")
            assert node.states() == ["judged"]
            node.keeper.clock.pass_seconds(seconds * 0.8 - 0.1)
            assert node.reports.send_due("MODALITY") == 0
            node.keeper.clock.pass_seconds(seconds)
        assert node.reports.send_due("MODALITY") == 1
        assert len([found for found in peer.reports if found.failed]) == len(peer.reports) > 0
    assert node.states() == ["reported"]
    assert node.commitments()[0].attempts == 3


def test_a_peer_that_says_nothing_is_asked_again(tmp_path: Path) -> None:
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        node = side(tmp_path, asker_at(port), timeout_seconds=0.5)
        node.judged(request_for(UNKNOWN))
        node.reports.send_due("MODALITY")
        assert node.states() == ["judged"]
    node.keeper.clock.pass_seconds(60)
    with asker(port=port) as peer:
        assert node.reports.peers_due() == {"MODALITY"}
        node.reports.send_due("MODALITY")
        assert len(peer.reports) == 1
    assert node.states() == ["reported"]


def test_a_report_that_nobody_takes_is_given_up_after_attempts_and_days(tmp_path: Path) -> None:
    node = side(tmp_path, asker_at(free_port()), attempts=2)
    node.judged(request_for(UNKNOWN))
    for _ in range(3):
        node.reports.send_due("MODALITY")
        node.keeper.clock.pass_seconds(60)
    assert node.states() == ["judged"]
    node.keeper.clock.jump(GIVE_UP_AFTER)
    node.reports.send_due("MODALITY")
    assert node.states() == ["unreported"]
    assert node.events()[-1] == "commitment unreported"


def test_a_clock_that_jumps_gives_up_nothing_that_was_hardly_tried(tmp_path: Path) -> None:
    node = side(tmp_path, asker_at(free_port()))
    node.judged(request_for(UNKNOWN))
    node.keeper.clock.jump(10 * GIVE_UP_AFTER)
    node.reports.send_due("MODALITY")
    assert node.states() == ["judged"]


def test_a_clock_that_was_put_back_delays_no_report(tmp_path: Path) -> None:
    with asker() as peer:
        node = side(tmp_path, peer.peer)
        node.judged(request_for(UNKNOWN))
        node.keeper.clock.jump(-timedelta(days=30))
        assert node.reports.send_due("MODALITY") == 1


def test_a_peer_that_asks_again_what_was_reported_gets_another_report(tmp_path: Path) -> None:
    with asker() as peer:
        node = side(tmp_path, peer.peer)
        for _ in range(2):
            node.judged(request_for(UNKNOWN))
            node.reports.send_due("MODALITY")
        assert len(peer.reports) == 2
    assert node.states() == ["reported"]


def test_a_peer_that_left_peers_toml_is_waited_for(tmp_path: Path) -> None:
    node = side(tmp_path, asker_at(104))
    node.judged(request_for(UNKNOWN))
    del node.settings.peers["asker"]
    node.reports.send_due("MODALITY")
    assert (node.states(), "peers.toml" in node.commitments()[0].answer) == (["judged"], True)


def test_nothing_is_begun_after_a_stop(tmp_path: Path) -> None:
    node = side(tmp_path)
    node.judged(request_for(UNKNOWN))
    node.reports.stop()
    assert node.reports.send_due("MODALITY") == 0


def asker_at(port: int) -> Peer:
    return Peer(ae_title="MODALITY", host="127.0.0.1", port=port)
