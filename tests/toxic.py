"""A TCP proxy that does to a connection what a bad network does: drop, delay, trickle, reset, flip bits."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

_CHUNK = 4096
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(frozen=True)
class Poison:
    """What happens to one direction, counted in bytes from the start of the connection.

    At byte `reset_at` both sides get a reset. From byte `swallow_at` on nothing arrives, and nobody is told.
    Every bit of byte `flip_at` is inverted. `delay_seconds` passes before each piece of up to `piece` bytes.
    """

    reset_at: int | None = None
    swallow_at: int | None = None
    flip_at: int | None = None
    delay_seconds: float = 0.0
    piece: int = _CHUNK


@dataclass
class Toxic:
    """A running proxy; what its poison is may change between two connections."""

    port: int
    to_peer: Poison = field(default_factory=Poison)
    from_peer: Poison = field(default_factory=Poison)
    refuses: bool = False
    connections: int = 0

    def heal(self) -> None:
        self.to_peer = self.from_peer = Poison()


@contextmanager
def toxic_proxy(peer_port: int) -> Iterator[Toxic]:
    """Run a proxy on loopback in front of a port of loopback until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        toxic = Toxic(server.getsockname()[1])
        open_sockets: list[socket.socket] = []
        accepting = threading.Thread(target=_accept, args=(server, peer_port, toxic, open_sockets), daemon=True)
        accepting.start()
        try:
            yield toxic
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for one in open_sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            accepting.join(5)


def _accept(server: socket.socket, peer_port: int, toxic: Toxic, open_sockets: list[socket.socket]) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        toxic.connections += 1
        if toxic.refuses:
            _reset(near)
            continue
        try:
            far = socket.create_connection(("127.0.0.1", peer_port))
        except OSError:
            near.close()
            continue
        open_sockets += [near, far]
        for one in (near, far):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for source, target, poison in ((near, far, toxic.to_peer), (far, near, toxic.from_peer)):
            _start(_carry, source, target, replace(poison))


def _start(target: Callable[..., None], *arguments: object) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _carry(source: socket.socket, target: socket.socket, poison: Poison) -> None:
    """Carry one direction until it ends or its poison ends it."""
    at = 0
    with suppress(OSError):
        while piece := bytearray(source.recv(_until(poison, at))):
            time.sleep(poison.delay_seconds)
            if poison.flip_at is not None and at <= poison.flip_at < at + len(piece):
                piece[poison.flip_at - at] ^= 0xFF
            if poison.swallow_at is None or at < poison.swallow_at:
                target.sendall(piece)
            at += len(piece)
            if at == poison.reset_at:
                _reset(source, target)
                return
        target.shutdown(socket.SHUT_WR)


def _until(poison: Poison, at: int) -> int:
    """Return how much to read at once, so that a piece ends where something is to happen."""
    events = [place - at for place in (poison.reset_at, poison.swallow_at) if place is not None and place > at]
    return min([poison.piece, *events])


def _reset(*sockets: socket.socket) -> None:
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        with suppress(OSError):
            one.shutdown(socket.SHUT_RD)  # wakes the thread that reads the other direction
        one.close()
