"""Peers that are silent, slow, greedy or speak garbage: each costs next to nothing, and honest ones get in."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dcmtk import needs_dcmtk, run
from raw_peer import (
    CONTEXTS,
    ECHO,
    IMPLICIT,
    PROPOSAL,
    VERIFICATION,
    RawPeer,
    context,
    data,
    pdu,
    request,
)
from receiving import SERVE, Node, running, send
from violations import VIOLATIONS
from waiting import PATIENCE_SECONDS, until

from node.association.acceptor import PendingLimits
from node.peers import Peer


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Node]:
    """A node that waits for a request for longer than any test waits for an answer."""
    with running(tmp_path, pending=PendingLimits(request_seconds=600.0)) as started:
        yield started


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x02\x00\x01", pdu(4, b"")[:6], pdu(7, b"")[:6], bytes(6)],
    ids=["http", "tls", "data", "abort", "zeros"],
)
def test_what_does_not_begin_as_a_request_is_closed_at_its_sixth_byte(patient: Node, ct: Path, garbage: bytes) -> None:
    with RawPeer.connect(patient.listener.port) as peer:
        assert peer.say(garbage).hear() == (0, b"")
    assert send(patient, ct)[0].status == 0x0000
    assert patient.endings() == ["released"]


def test_a_request_of_more_than_a_mebibyte_is_closed_before_it_is_sent(patient: Node) -> None:
    with RawPeer.connect(patient.listener.port) as peer:
        assert peer.say(struct.pack(">BxI", 1, 1024 * 1024 + 1)).hear() == (0, b"")


@pytest.mark.parametrize("sent", [b"", PROPOSAL[:3], PROPOSAL[:6], PROPOSAL[:-1]], ids=["none", "3", "6", "almost"])
def test_a_request_that_is_not_whole_in_time_is_closed(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path, pending=PendingLimits(request_seconds=0.3)) as node:
        with RawPeer.connect(node.listener.port) as peer:
            assert peer.say(sent).hear() == (0, b"")
        assert node.associations() == []


def test_a_request_that_trickles_in_is_closed_although_bytes_keep_coming(tmp_path: Path) -> None:
    with running(tmp_path, pending=PendingLimits(request_seconds=0.5)) as node:
        with RawPeer.connect(node.listener.port) as peer:
            assert peer.trickle(bytes((byte,)) for byte in PROPOSAL).hear() == (0, b"")
        assert node.associations() == []


def test_requests_half_sent_cost_no_thread_and_keep_no_honest_peer_out(node: Node, ct: Path) -> None:
    with contextlib.ExitStack() as stack:
        before = threading.active_count()
        for number in range(200):
            peer = stack.enter_context(RawPeer.connect(node.listener.port))
            peer.say(PROPOSAL[: number % len(PROPOSAL)])
        assert [send(node, ct)[0].status for _ in range(5)] == [0x0000] * 5
        until(lambda: threading.active_count() <= before)


def test_of_too_many_the_oldest_of_the_busiest_address_goes(tmp_path: Path) -> None:
    with running(tmp_path, pending=PendingLimits(4, request_seconds=600.0)) as node, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", node.listener.port)
        quiet = socket.create_connection(address, timeout=PATIENCE_SECONDS, source_address=("127.0.0.2", 0))
        stack.enter_context(quiet)
        greedy = [stack.enter_context(socket.create_connection(address, timeout=PATIENCE_SECONDS)) for _ in range(20)]
        for pushed_out in greedy[:17]:
            assert pushed_out.recv(1) == b""
        quiet.sendall(PROPOSAL)
        assert quiet.recv(1) == b"\x02"


def test_long_requests_that_are_never_whole_cannot_fill_the_memory(tmp_path: Path) -> None:
    limits = PendingLimits(held_bytes=150_000, request_seconds=600.0)
    with running(tmp_path, pending=limits) as node, contextlib.ExitStack() as stack:
        peers = [stack.enter_context(RawPeer.connect(node.listener.port)) for _ in range(3)]
        for size, peer in zip((40_000, 90_000, 40_000), peers, strict=True):
            peer.say(struct.pack(">BxI", 1, 1024 * 1024), bytes(size))
        assert peers[1].hear() == (0, b"")


def test_a_node_without_free_descriptors_still_lets_an_honest_peer_in(tmp_path: Path, ct: Path) -> None:
    limits = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))\n"
    patience = "from node.association.acceptor import PendingLimits; patient = PendingLimits(request_seconds=600.0)\n"
    limited = limits + patience + SERVE.replace('"127.0.0.1", 0', '"127.0.0.1", 0, pending=patient')
    with subprocess.Popen(
        [sys.executable, "-c", limited, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        port = int(process.stdout.readline())
        with contextlib.ExitStack() as stack:
            for _ in range(150):
                stack.enter_context(RawPeer.connect(port))
            with RawPeer.connect(port) as honest:
                assert honest.say(PROPOSAL).hear()[0] == 2
                assert honest.say(ECHO).status() == 0x0000
        process.stdin.close()


@pytest.mark.parametrize(
    ("proposal", "answer"),
    [
        (request(*CONTEXTS, version=2), (1, 2, 2)),
        (request(*CONTEXTS, application="1.2.840.10008.3.1.1.2"), (1, 1, 2)),
    ],
    ids=["protocol version", "application context"],
)
def test_a_peer_of_another_protocol_is_rejected(node: Node, proposal: bytes, answer: tuple[int, int, int]) -> None:
    with RawPeer.connect(node.listener.port) as peer:
        kind, body = peer.say(proposal).hear()
        assert (kind, tuple(body[1:])) == (3, answer)
        assert peer.hear() == (0, b"")


def test_a_peer_hears_its_rejection_even_while_it_is_still_sending(node: Node) -> None:
    with RawPeer.connect(node.listener.port) as peer:
        assert peer.say(request(*CONTEXTS, version=2)).hear()[0] == 3
        for _ in range(5):
            threading.Event().wait(0.02)
            peer.say(ECHO)


def test_an_association_that_cannot_be_recorded_is_rejected_as_transient(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, busy_seconds=0.1) as node:
        with sqlite3.connect(tmp_path / "node.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with RawPeer.connect(node.listener.port) as peer:
                kind, body = peer.say(PROPOSAL).hear()
                assert (kind, tuple(body[1:])) == (3, (2, 3, 1))
            other.execute("ROLLBACK")
        assert send(node, ct)[0].status == 0x0000


def test_a_flood_of_garbage_fills_no_log(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(150):
        with RawPeer.connect(node.listener.port) as peer:
            assert peer.say(bytes(6)).hear() == (0, b"")
    for _ in range(150):
        with RawPeer.connect(node.listener.port) as peer:
            assert peer.say(PROPOSAL).hear()[0] == 2
            assert peer.say(data()).hear()[0] == 7
    logged = [record.message for record in caplog.records]
    assert logged.count("connection dropped") == 60
    assert logged.count("association aborted") == 100


@pytest.mark.parametrize(
    "proposal",
    [
        request(),
        request(context(2, VERIFICATION, IMPLICIT)),
        request(context(1, VERIFICATION, IMPLICIT), context(1, VERIFICATION, IMPLICIT)),
        request(context(1, VERIFICATION)),
        request(*(context(1, VERIFICATION, IMPLICIT) for _ in range(129))),
        request(*CONTEXTS, longest_pdu=7),
        pdu(1, bytes(20)),
        pdu(1, PROPOSAL[6:-3]),
        pdu(1, PROPOSAL[6:] + b"\x50"),
    ],
    ids=["none", "even", "twice", "no syntax", "129", "short PDU", "short", "cut item", "cut header"],
)
def test_a_request_that_contradicts_itself_is_aborted(node: Node, proposal: bytes) -> None:
    with RawPeer.connect(node.listener.port) as peer:
        assert peer.say(proposal).abort_reason() == (2, 6)
    assert node.associations() == []


def test_strangers_who_took_every_place_keep_no_known_peer_out(tmp_path: Path, ct: Path) -> None:
    modality = Peer(ae_title="MODALITY", host="127.0.0.1", port=104)
    with running(tmp_path, max_associations=8, peers=(modality,)) as node, contextlib.ExitStack() as stack:
        answers = []
        for number in range(12):
            peer = stack.enter_context(RawPeer.connect(node.listener.port))
            answers.append(peer.say(request(*CONTEXTS, calling=b"STRANGER%d" % number)).hear())
        assert [kind for kind, _ in answers] == [2] * 7 + [3] * 5
        assert {tuple(body[1:]) for kind, body in answers if kind == 3} == {(2, 3, 2)}
        assert send(node, ct)[0].status == 0x0000


def hostile(port: int, ct: Path, ended: threading.Event) -> None:
    """Do one thing after another that no honest peer does, until the end; keep what is silent open for a while."""
    abuses = [said(ct) for said, _ in VIOLATIONS.values()]
    kept: list[RawPeer] = []
    number = 0
    while not ended.is_set():
        number += 1
        with contextlib.suppress(OSError, AssertionError):
            peer = RawPeer.connect(port)
            peer.connection.settimeout(1.0)
            kept.append(peer)
            match number % 4:
                case 0:
                    peer.say(PROPOSAL[: number % len(PROPOSAL)])
                case 1:
                    peer.say(bytes((number % 256,)) * 20)
                case 2:
                    peer.say(data(), PROPOSAL)
                case _:
                    peer.say(request(*CONTEXTS, calling=b"STRANGER")).hear()
                    peer.say(abuses[number % len(abuses)])
        for old in kept[:-100]:
            old.connection.close()
        del kept[:-100]
    for peer in kept:
        peer.connection.close()


@needs_dcmtk
@pytest.mark.parametrize("sends", [40, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])])
def test_honest_peers_are_served_during_an_attack(tmp_path: Path, ct: Path, sends: int) -> None:
    modality = Peer(ae_title="STORESCU", host="127.0.0.1", port=104)
    ended = threading.Event()
    with running(tmp_path, peers=(modality,)) as node:
        attackers = [threading.Thread(target=hostile, args=(node.listener.port, ct, ended)) for _ in range(4)]
        for attacker in attackers:
            attacker.start()
        sent: list[tuple[int, float]] = []
        try:
            for _ in range(sends):
                began = time.monotonic()
                process = run("storescu", "-xe", "-aec", "RADNODE", "127.0.0.1", node.listener.port, ct)
                sent.append((process.returncode, time.monotonic() - began))
        finally:
            ended.set()
            for attacker in attackers:
                attacker.join(PATIENCE_SECONDS)
        assert [code for code, _ in sent] == [0] * sends
        assert sends < 1000 or sorted(seconds for _, seconds in sent)[990] <= 2.0
        assert len(node.instances) == 1
