"""The wire: prompt in both directions, and patient only with peers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from raw_peer import ECHO, RELEASE, data, pdv, tiny_command, tiny_data_set

from node.upper_layer.messages import Messages, Pace
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
