"""The wire: prompt in both directions, and patient only with peers."""

from __future__ import annotations

import itertools
import random
import socket
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any

import pytest
from raw_peer import ECHO, RELEASE, data, echo_command, pdv, tiny_command, tiny_data_set
from waiting import PATIENCE_SECONDS
from wire_fuzz import Tape

from node.errors import ConnectionLost, PeerTooSlow, ProtocolViolation
from node.upper_layer.messages import Messages, Pace
from node.upper_layer.pdu import (
    AbortReason,
    OutgoingDataSet,
    PduType,
    encode_abort,
    encode_abort_by_user,
    encode_command_pdus,
    encode_data_set_pdus,
    encode_rejection,
    encode_release_request,
    encode_release_response,
    judge_first_header,
    judge_header,
)
from node.upper_layer.wire import Wire


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as peer,
        server.accept()[0] as ours,
    ):
        yield peer, ours


def test_neither_side_waits_for_the_other(pair: tuple[socket.socket, socket.socket]) -> None:
    peer, ours = pair
    wire = Wire(ours, patience_seconds=5.0)
    ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)  # as Linux does after a while
    peer.sendall(ECHO[:-1])
    threading.Timer(0.1, peer.sendall, [ECHO[-1:]]).start()
    wire.next_pdu()
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK)


@pytest.mark.parametrize("size", [1, 1000, 100_000, 262_138])
def test_pdus_of_any_size_come_whole_and_in_order(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    peer, ours = pair
    peer.settimeout(10)
    wire = Wire(ours, patience_seconds=5.0)
    for number in range(8):
        peer.sendall(data(pdv(1, 3, bytes((number,)) * size)) + RELEASE)
        kind, body = wire.next_pdu()
        assert (kind, bytes(body[6:])) == (4, bytes((number,)) * size)
        assert wire.next_pdu()[0] == 5


def test_a_pdu_that_begins_near_the_end_of_the_buffer_comes_whole() -> None:
    contents = [random.Random(number).randbytes(size) for number, size in enumerate((150_000, 150_000, 7, 262_138, 90))]
    with Tape(b"".join(data(pdv(1, 3, content)) for content in contents) + RELEASE) as tape:
        wire = Wire(tape, patience_seconds=5.0)
        for content in contents:
            assert bytes(wire.next_pdu()[1][6:]) == content
        assert wire.next_pdu()[0] == 5
        with pytest.raises(ConnectionLost):
            wire.next_pdu()


class Halting(Tape):
    """A socket whose peer says one piece after the other, and lets us wait before each."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(b"")
        self._pieces = iter(pieces)
        self.halts = 0

    def recv_into(self, buffer: Any, *_: int) -> int:
        if not self._left:
            self._left = memoryview(next(self._pieces))
            self.halts += 1
            raise BlockingIOError
        return super().recv_into(buffer)


def test_a_pdu_has_its_time_however_many_reads_that_is() -> None:
    clock = itertools.count()
    with Halting(bytes((byte,)) for byte in ECHO) as tape:
        wire = Wire(tape, patience_seconds=9.0, monotonic=lambda: float(next(clock)))  # each halt takes a second
        with pytest.raises(PeerTooSlow, match="no whole PDU within 9 s"):
            wire.next_pdu()
        assert tape.halts == 10


def test_the_time_we_take_ourselves_is_not_held_against_the_peer(pair: tuple[socket.socket, socket.socket]) -> None:
    peer, ours = pair
    now = [0.0]
    wire = Wire(ours, patience_seconds=5.0, monotonic=lambda: now[0])
    messages = Messages(wire, {3}, Pace(grace_seconds=5.0))
    peer.sendall(data(pdv(3, 3, tiny_command())))
    command = messages.next_command()
    assert command
    now[0] = 1000.0  # the disk was slow
    peer.sendall(data(pdv(3, 0, tiny_data_set()), pdv(3, 2)))
    assert b"".join(bytes(fragment) for fragment in messages.data_set(command.context_id)) == tiny_data_set()


def test_a_peer_may_take_longer_over_a_message_by_what_its_bytes_give_it() -> None:
    clock = itertools.count()
    command, fragment = data(pdv(3, 3, tiny_command())), data(pdv(3, 0, bytes(5)))
    with Halting([command, *[fragment] * 6, command, *[fragment] * 7]) as tape:
        wire = Wire(tape, patience_seconds=5.0, monotonic=lambda: float(next(clock)))  # each halt takes a second
        messages = Messages(wire, {3}, Pace(grace_seconds=3.0, bytes_per_second=10.0))
        for _ in range(2):
            assert messages.next_command()
            heard = messages.data_set(3)
            for _ in range(6):  # seconds, and so half as many again are given
                assert len(next(heard)) == 5
        with pytest.raises(PeerTooSlow, match="35 bytes of a message in 7 s"):
            next(heard)


def test_there_is_more_while_a_pdu_holds_another_message_and_none_behind_a_release(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    peer, ours = pair
    messages = Messages(Wire(ours, patience_seconds=5.0), {1}, Pace())
    assert not messages.has_more(0.0)
    peer.sendall(data(pdv(1, 3, echo_command()), pdv(1, 3, echo_command())) + RELEASE)
    for _ in range(2):
        assert messages.has_more(5.0)
        assert messages.next_command() == (1, echo_command())
    assert messages.has_more(5.0)
    assert messages.next_command() is None
    assert not messages.has_more(0.0)


def test_short_pdus_are_those_of_the_standard() -> None:
    """PS3.8 9.3.4, 9.3.6 to 9.3.8; what is reserved is zero."""
    assert encode_rejection((1, 2, 7)) == b"\3\0\0\0\0\4\0\1\2\7"
    assert encode_release_request() == b"\5\0\0\0\0\4\0\0\0\0"
    assert encode_release_response() == b"\6\0\0\0\0\4\0\0\0\0"
    assert encode_abort_by_user() == b"\7\0\0\0\0\4\0\0\0\0"
    assert encode_abort(5) == b"\7\0\0\0\0\4\0\0\2\5"


@pytest.mark.parametrize(("longest", "room"), [(0, 20), (26, 20), (24, 18), (16, 10), (10, 4), (8, 2)])
def test_the_last_fragment_of_a_command_is_marked_wherever_the_others_end(longest: int, room: int) -> None:
    command = bytes(range(20))
    *pieces, last = [command[at : at + room] for at in range(0, 20, room)]
    expected = [*(data(pdv(5, 1, piece)) for piece in pieces), data(pdv(5, 3, last))]
    assert encode_command_pdus(5, command, longest) == b"".join(expected)


ROOM = {0: 262_138, 8: 2, 9: 2, 26: 20, 16_380: 16_374, 16_384: 16_378, 300_000: 262_138}


@pytest.mark.parametrize(
    ("longest", "size"),
    [*itertools.product(ROOM, (1, 4, 1200)), (0, 300_000), (16_384, 32_756), (16_384, 300_000), (16_380, 300_000)],
)
def test_a_data_set_goes_out_in_pdus_of_which_the_last_is_marked(longest: int, size: int) -> None:
    content, room = random.Random(size).randbytes(size), ROOM[longest]
    *pieces, last = [content[at : at + room] for at in range(0, len(content), room)]
    expected = [*(data(pdv(5, 0, piece)) for piece in pieces), data(pdv(5, 2, last))]
    sent = [bytes(some) for some in encode_data_set_pdus(5, OutgoingDataSet.of(content), longest)]
    assert b"".join(sent) == b"".join(expected)
    assert len(sent) <= 1 + len(content) // (64 * 1024)  # several PDUs at once


def test_a_data_set_that_ends_early_is_never_marked_as_whole() -> None:
    pdus = encode_data_set_pdus(5, OutgoingDataSet(BytesIO(bytes(300_000)), 300_001), 0)
    assert next(pdus)[10:12] == b"\5\0"
    with pytest.raises(EOFError, match="expected 37863 more bytes"):
        next(pdus)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"\2\0\0\0\0\4", AbortReason.UNEXPECTED_PDU),
        (b"GET / ", AbortReason.UNEXPECTED_PDU),
        (b"\1\0\0\x10\0\1", AbortReason.INVALID_PARAMETER),
    ],
)
def test_what_comes_first_is_a_request_of_up_to_a_mebibyte(header: bytes, reason: AbortReason) -> None:
    assert judge_first_header(b"\1\0\0\x10\0\0") == 1 << 20
    with pytest.raises(ProtocolViolation) as violation:
        judge_first_header(header)
    assert violation.value.reason is reason


@pytest.mark.parametrize(
    ("kind", "length", "reason"),
    [
        (PduType.DATA, (256 << 10) + 1, AbortReason.INVALID_PARAMETER),
        (PduType.RELEASE_RP, 4, AbortReason.UNEXPECTED_PDU),
        (8, 4, AbortReason.UNRECOGNISED_PDU),
    ],
)
def test_what_comes_then_is_of_a_kind_that_may_come_and_of_up_to_256_kib(
    kind: int, length: int, reason: AbortReason
) -> None:
    judge_header(PduType.DATA, 256 << 10)
    judge_header(PduType.RELEASE_RP, 4, {PduType.RELEASE_RP})
    with pytest.raises(ProtocolViolation) as violation:
        judge_header(kind, length)
    assert violation.value.reason is reason


@pytest.mark.parametrize("said", [ECHO, b""])
def test_who_reads_is_interrupted_whatever_is_there_and_may_still_send(
    pair: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    peer, ours = pair
    peer.settimeout(10)
    wire = Wire(ours, patience_seconds=5.0)
    peer.sendall(said)
    wire.interrupt()
    with pytest.raises(ConnectionLost, match="connection closed"):
        wire.next_pdu()
    wire.send(RELEASE)
    assert peer.recv(100) == RELEASE


def test_what_is_to_come_is_waited_for_and_who_says_or_takes_nothing_is_given_up(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    peer, ours = pair
    wire = Wire(ours, patience_seconds=0.1)
    later = threading.Timer(0.1, peer.sendall, [ECHO])
    later.start()
    assert wire.has_more(PATIENCE_SECONDS)
    later.join()
    assert wire.next_pdu()[0] == PduType.DATA
    with pytest.raises(PeerTooSlow, match=r"no whole PDU within 0\.1 s"):
        wire.next_pdu()
    with pytest.raises(PeerTooSlow, match=r"takes nothing for 0\.1 s"):
        wire.send(bytes(64 << 20))


def test_a_connection_that_is_cut_takes_nothing_any_more(pair: tuple[socket.socket, socket.socket]) -> None:
    peer, ours = pair
    peer.settimeout(10)
    wire = Wire(ours, patience_seconds=5.0)
    wire.cut()
    with pytest.raises(ConnectionLost, match="connection closed"):
        wire.next_pdu()
    with pytest.raises(ConnectionLost, match="while sending"):
        wire.send(RELEASE)
    wire.send_last(RELEASE)
    assert peer.recv(100) == b""


def test_a_connection_that_is_closed_already_is_found_lost_by_who_reads(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    _, ours = pair
    ours.close()
    wire = Wire(ours, patience_seconds=5.0)
    wire.interrupt()
    wire.cut()
    with pytest.raises(ConnectionLost, match="connection failed"):
        wire.next_pdu()
