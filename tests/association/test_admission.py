"""Who may associate, seen by those who ask over a real connection."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from raw_peer import IMPLICIT, RELEASE, VERIFICATION, RawPeer, context, request
from receiving import Node, associated, running, send
from sqlalchemy import select
from waiting import PATIENCE_SECONDS, until

from node.association.acceptor import PendingLimits
from node.database import Event
from node.delivery.scu import echo
from node.peers import Peer

MODALITY = Peer(ae_title="MODALITY", host="127.0.0.1", port=104)
ELSEWHERE = Peer(ae_title="ELSEWHERE", host="10.1.2.3", port=104)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Node]:
    pending = PendingLimits(connections=5)
    with running(tmp_path, accepts_anyone=False, peers=(MODALITY, ELSEWHERE), pending=pending) as node:
        yield node


def hows(node: Node) -> list[str]:
    return [row.closed_how for row in node.associations()]


def ask(node: Node, calling: str, called: str = "RADNODE") -> tuple[int, ...]:
    """Ask for an association; return what comes instead: the kind of a PDU, and of a rejection its three numbers.

    Not with pynetdicom, which takes a rejection that comes at once, as ours do, for a connection that failed.
    """
    proposal = request(context(1, VERIFICATION, IMPLICIT), calling=calling.encode(), called=called.encode())
    with RawPeer.connect(node.listener.port) as peer:
        kind, body = peer.say(proposal).hear()
        if kind != 2:
            return (kind, *body[1:])
        assert peer.say(RELEASE).hear()[0] == 6
    return ()


@pytest.mark.parametrize(
    ("calling", "called", "reason", "how"),
    [
        ("STRANGER", "RADNODE", 3, "rejected: calling AE title not in peers.toml"),
        ("MODALITY", "ORTHANC", 7, "rejected: called AE title is not ours"),
        ("ELSEWHERE", "RADNODE", 3, "rejected: this AE title calls from an address that peers.toml does not state"),
    ],
)
def test_a_caller_that_may_not_come_in_is_told_why_and_recorded(
    guarded: Node, caplog: pytest.LogCaptureFixture, calling: str, called: str, reason: int, how: str
) -> None:
    caplog.set_level("WARNING", "radnode")
    assert ask(guarded, calling, called) == (3, 1, 1, reason)
    until(lambda: guarded.endings() != [])
    (row,) = guarded.associations()
    assert row.closed_how.startswith(how)
    assert (row.calling_ae_title, row.called_ae_title, row.calling_address) == (calling, called, "127.0.0.1")
    assert row.opened_at == row.closed_at
    (logged,) = [record for record in caplog.records if record.message == "association rejected"]
    with guarded.database.reading() as session:
        (event,) = session.scalars(select(Event)).all()
    assert (event.name, event.association_id, event.detail["how"]) == (logged.message, row.id, row.closed_how)


def test_a_known_peer_sends_as_before(guarded: Node, ct: Path) -> None:
    assert send(guarded, ct)[0].status == 0x0000


def test_one_peer_cannot_take_all_associations(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=3, max_associations_per_peer=1) as node, associated(node, ct):
        assert ask(node, "MODALITY") == (3, 2, 3, 2)
        assert ask(node, "OTHER") == ()
        until(lambda: "rejected: too many associations at once from this peer" in hows(node))


def test_an_association_that_ended_makes_room_for_the_next(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=1) as node:
        for _ in range(3):
            send(node, ct)
            until(lambda: node.endings() != [])
        assert set(node.endings()) == {"released"}


@contextmanager
def hammering(node: Node, threads: int = 4) -> Iterator[list[int]]:
    """Ask for associations as strangers, as fast as it goes; give how often each was turned away."""
    ended = threading.Event()
    rejected = [0] * threads

    def hammer(number: int) -> None:
        while not ended.is_set():
            with suppress(ConnectionError):  # pushed out by newer ones
                rejected[number] += ask(node, f"STRANGER{number}") == (3, 1, 1, 3)

    workers = [threading.Thread(target=hammer, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield rejected
    finally:
        ended.set()
        for worker in workers:
            worker.join(PATIENCE_SECONDS)


def test_an_honest_peer_gets_in_while_strangers_hammer_at_the_door(guarded: Node, ct: Path) -> None:
    with hammering(guarded) as rejected:
        until(lambda: all(rejected))
        assert [send(guarded, ct)[0].status for _ in range(10)] == [0x0000] * 10
    assert sum(rejected) >= 4
    recorded = [row for row in guarded.associations() if row.closed_how.startswith("rejected")]
    assert 4 <= len(recorded) <= 100


def test_an_honest_peer_gets_in_beside_connections_that_never_ask(guarded: Node, ct: Path) -> None:
    address = ("127.0.0.1", guarded.listener.port)
    silent = [socket.create_connection(address) for _ in range(20)]
    try:
        assert send(guarded, ct)[0].status == 0x0000
        assert echo("MODALITY", guarded.address, PATIENCE_SECONDS) < PATIENCE_SECONDS
        assert silent[0].recv(1) == b""  # the oldest was closed
    finally:
        for connection in silent:
            connection.close()
