"""Within an association: what a peer may say, what it may not, and how long it may take over it."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from dcmtk import data_set_bytes
from raw_peer import (
    ABORT,
    CONTEXTS,
    ECHO,
    PROPOSAL,
    RELEASE,
    VERIFICATION,
    RawPeer,
    data,
    echo_command,
    pdv,
    request,
    store,
)
from receiving import Node, running
from violations import VIOLATIONS

from node.upper_layer.messages import Pace

LONG_SECONDS = 600.0  # longer than any test waits for an answer
LONG_ECHO = echo_command() + struct.pack("<HHI", 0, 0x1000, 60_000) + b"1" * 60_000


@contextlib.contextmanager
def established(node: Node, proposal: bytes = PROPOSAL) -> Iterator[RawPeer]:
    with RawPeer.connect(node.listener.port) as peer:
        assert peer.say(proposal).hear()[0] == 2
        yield peer


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_aborted_with_the_reason_of_the_standard(node: Node, ct: Path, name: str) -> None:
    said, reason = VIOLATIONS[name]
    with established(node) as peer:
        assert peer.say(ECHO).status() == 0x0000
        assert peer.say(said(ct)).abort_reason() == (2, reason)
    assert node.endings() == ["aborted"]
    assert node.files("") == []


def test_an_abort_of_the_peer_is_recorded_and_not_answered(node: Node) -> None:
    with established(node) as peer:
        assert peer.say(ABORT).hear() == (0, b"")
    assert node.endings() == ["aborted"]


def test_a_cancel_of_nothing_is_passed_over(node: Node) -> None:
    cancel = struct.pack("<HHIH", 0, 0x0100, 2, 0x0FFF) + struct.pack("<HHIH", 0, 0x0120, 2, 1)
    cancel += struct.pack("<HHIH", 0, 0x0800, 2, 0x0101)
    with established(node) as peer:
        assert peer.say(data(pdv(1, 3, cancel)), ECHO).status() == 0x0000


def test_messages_may_be_cut_into_fragments_anywhere(node: Node, ct: Path) -> None:
    command, data_set = store(ct), data_set_bytes(ct)
    with established(node) as peer:
        peer.say(data(pdv(3, 1, command[:1])), data(pdv(3, 1), pdv(3, 1, command[1:99]), pdv(3, 3, command[99:])))
        peer.say(data(pdv(3, 0)), data(pdv(3, 0, data_set[:7]), pdv(3, 0, data_set[7:30_000])))
        peer.say(data(pdv(3, 0, data_set[30_000:])), data(pdv(3, 2)))
        assert peer.status() == 0x0000
        assert peer.say(RELEASE).hear()[0] == 6
    (kept,) = node.files("instances")
    assert data_set_bytes(kept) == data_set


def test_requests_sent_without_waiting_are_answered_one_by_one(node: Node, ct: Path) -> None:
    message = data(pdv(3, 3, store(ct)), pdv(3, 2, data_set_bytes(ct)))
    with established(node) as peer:
        peer.say(message, ECHO, message, RELEASE)
        assert [peer.status() for _ in range(3)] == [0x0000] * 3
        assert peer.hear()[0] == 6


def test_an_answer_is_no_longer_than_the_peer_takes(node: Node) -> None:
    with established(node, request(*CONTEXTS, longest_pdu=20)) as peer:
        peer.say(ECHO)
        answer, is_last = b"", False
        while not is_last:
            kind, body = peer.hear()
            assert kind == 4
            assert len(body) <= 20
            is_last = bool(body[5] & 2)
            answer += body[6:]
    assert answer.endswith(struct.pack("<HHIH", 0, 0x0900, 2, 0x0000))


@pytest.mark.parametrize("number", [1, 3], ids=["store as verification", "echo as CT"])
def test_a_service_in_the_context_of_another_is_answered_0122(node: Node, ct: Path, number: int) -> None:
    verification = store(ct, AffectedSOPClassUID=VERIFICATION)
    said = data(pdv(1, 3, verification), pdv(1, 2, data_set_bytes(ct))) if number == 1 else data(
        pdv(3, 3, echo_command())
    )
    with established(node) as peer:
        assert peer.say(said).status() == 0x0122
        assert peer.say(ECHO).status() == 0x0000
    assert node.files("") == []


@pytest.mark.parametrize("sent", [b"", ECHO[:3], ECHO[:-1], data(pdv(1, 1, b"\0"))], ids=["", "3", "1 less", "part"])
def test_an_association_that_falls_silent_is_aborted(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path, idle_seconds=0.3) as node:
        with established(node) as peer:
            assert peer.say(sent).abort_reason() == (2, 0)
        assert node.endings() == ["aborted"]


def test_a_pdu_that_trickles_in_is_aborted_although_bytes_keep_coming(tmp_path: Path) -> None:
    with running(tmp_path, idle_seconds=0.5) as node:
        with established(node) as peer:
            assert peer.trickle(bytes((byte,)) for byte in data(pdv(1, 1, bytes(500)))).abort_reason() == (2, 0)
        assert node.endings() == ["aborted"]


def test_a_message_of_many_small_pdus_that_trickles_in_is_aborted(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, pace=Pace(grace_seconds=0.5, bytes_per_second=10_000.0)) as node:
        with established(node) as peer:
            peer.say(data(pdv(3, 3, store(ct))))
            slowly = (data(pdv(3, 0, bytes((byte,)))) for byte in data_set_bytes(ct)[:1000])
            assert peer.trickle(slowly).abort_reason() == (2, 0)
        assert node.endings() == ["aborted"]
        assert node.files("") == []


def test_a_peer_that_takes_no_answer_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path, idle_seconds=0.5) as node:
        with established(node) as peer, contextlib.suppress(OSError):
            for _ in range(2000):
                peer.say(data(pdv(1, 3, LONG_ECHO)))
        assert node.endings() == ["aborted"]


def test_a_data_set_longer_than_the_limit_is_refused_for_now_and_the_association_goes_on(
    tmp_path: Path, ct: Path
) -> None:
    with running(tmp_path, largest_instance_bytes=30_000) as node:
        message = data(pdv(3, 3, store(ct)), pdv(3, 0, data_set_bytes(ct)[:20_000])), data(
            pdv(3, 2, data_set_bytes(ct)[20_000:])
        )
        with established(node) as peer:
            assert peer.say(*message).status() == 0xA700
            assert peer.say(ECHO).status() == 0x0000
        assert node.files("") == []


def test_a_data_set_without_an_end_is_aborted(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, largest_instance_bytes=30_000, idle_seconds=LONG_SECONDS) as node:
        with established(node) as peer:
            peer.say(data(pdv(3, 3, store(ct))))
            for _ in range(7):
                peer.say(data(pdv(3, 0, bytes(10_000))))
            assert peer.abort_reason() == (2, 0)
        assert node.files("") == []


def test_draining_cuts_off_a_peer_that_takes_no_answer(tmp_path: Path) -> None:
    with running(tmp_path, idle_seconds=LONG_SECONDS) as node, established(node) as peer:
        peer.connection.settimeout(1.0)
        with contextlib.suppress(TimeoutError):
            while True:
                peer.say(data(pdv(1, 3, LONG_ECHO)))
        assert node.listener.drain(0.1) == 1
        assert node.endings() == ["aborted"]
