"""The acceptor: one loop for all connections without an association, that waits for none of them."""

from __future__ import annotations

import logging
import queue
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ

from node.association.pending import Arrival, Leaving, Pending
from node.association.quota import Quota
from node.errors import AssociationBroken, ConnectionLost
from node.logs import log_failure

_ACCEPTED_AT_ONCE = 64
_LOGGED_PER_MINUTE = 60
_OUT_OF_DESCRIPTORS_SECONDS = 0.1
_BELL_BYTES = 4096

logger = logging.getLogger("radnode.association")


@dataclass(frozen=True)
class Door:
    """A listening socket; `tls` gives the context for each new connection, or None for plain TCP."""

    listening: socket.socket
    tls: Callable[[], ssl.SSLContext | None]


@dataclass(frozen=True)
class PendingLimits:
    """What connections that have not made their request may cost us, all together, and for how long."""

    connections: int = 640
    held_bytes: int = 64 * 1024 * 1024
    request_seconds: float = 15.0


class Acceptor:
    """Holds new connections until their association request is complete, and old ones until the peer closes.

    A silent or slow peer costs a socket, never a thread. When there are too many, the one that waits longest
    goes, of the address that has most: so nobody can push out the others.
    """

    def __init__(
        self,
        doors: Sequence[Door],
        limits: PendingLimits,
        welcome: Callable[[Arrival], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Hand each arrival to `welcome`, which must not block."""
        self._doors = doors
        self._limits = limits
        self._welcome = welcome
        self._monotonic = monotonic
        self._quota = Quota(_LOGGED_PER_MINUTE, monotonic)
        self._selector = selectors.DefaultSelector()
        self._pending: dict[Pending | Leaving, float] = {}  # with their deadlines, the earliest first
        self._held_bytes = 0
        self._leaving: queue.SimpleQueue[Leaving] = queue.SimpleQueue()
        self._is_shutting = False
        self._shut = threading.Event()
        self._stopping = threading.Event()
        self._alarm, self._bell = socket.socketpair()
        self._bell.setblocking(False)

    def run(self) -> None:
        """Serve all connections that have no association, until stopped."""
        self._selector.register(self._alarm, EVENT_READ)
        for door in self._doors:
            door.listening.setblocking(False)
            self._selector.register(door.listening, EVENT_READ, door)
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._seconds_to_deadline()):
                self._attend(key.data)
            self._drop_late()
        self._close()

    def see_off(self, connection: socket.socket, address: str) -> None:
        """Take a connection back on which everything is said."""
        self._leaving.put(Leaving(connection, address))
        self._ring()

    def shut_doors(self) -> None:
        """Accept nothing any more, and give up whatever has made no request yet; return when that is done."""
        self._is_shutting = True
        self._ring()
        self._shut.wait()

    def stop(self) -> None:
        """Make `run` return soon; the doors must be shut."""
        self._stopping.set()
        self._ring()

    def _ring(self) -> None:
        with suppress(OSError):  # it rings already, or nobody listens any more
            self._bell.send(b"\0")

    def _attend(self, ready: Door | Pending | Leaving | None) -> None:
        try:
            if ready is None:
                self._answer_bell()
            elif isinstance(ready, Door):
                self._accept(ready)
            elif ready in self._pending:  # it may have been pushed out since
                self._advance(ready)
        except Exception as error:  # noqa: BLE001 - what one connection brings must not make us deaf to all others
            log_failure(logger, "connection not taken", error)
            if isinstance(ready, Pending | Leaving) and ready in self._pending:
                self._drop(ready)

    def _answer_bell(self) -> None:
        self._alarm.recv(_BELL_BYTES)
        while not self._leaving.empty():
            self._take(self._leaving.get())
        if self._is_shutting and not self._shut.is_set():
            for door in self._doors:
                self._selector.unregister(door.listening)
                door.listening.close()
            for pending in [pending for pending in self._pending if isinstance(pending, Pending)]:
                self._drop(pending)
            self._shut.set()

    def _accept(self, door: Door) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = door.listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is free
                self._make_room()
                return
            try:
                pending = Pending(connection, str(address[0]), door.tls())
            except OSError:  # the peer has gone already
                connection.close()
            else:
                self._take(pending)

    def _take(self, pending: Pending | Leaving) -> None:
        if len(self._pending) >= self._limits.connections:
            self._make_room()
        self._pending[pending] = self._monotonic() + self._limits.request_seconds
        self._selector.register(pending.descriptor, EVENT_READ, pending)
        self._advance(pending)

    def _advance(self, pending: Pending | Leaving) -> None:
        held_bytes = pending.held_bytes
        try:
            arrival = pending.advance()
        except ConnectionLost:
            self._drop(pending)  # nothing to tell: so does every port probe
            return
        except AssociationBroken as error:
            self._drop(pending, str(error))
            return
        finally:
            self._held_bytes += pending.held_bytes - held_bytes
        if arrival is None:
            self._selector.modify(pending.descriptor, pending.awaited, pending)
            self._bound_memory()
        else:
            self._forget(pending)
            self._welcome(arrival)

    def _bound_memory(self) -> None:
        if self._held_bytes > self._limits.held_bytes:
            self._drop(max(self._pending, key=lambda pending: pending.held_bytes), "too many long requests at once")

    def _make_room(self) -> None:
        """Drop the connection that waits longest, of the address that has most of them."""
        if not self._pending:
            self._stopping.wait(_OUT_OF_DESCRIPTORS_SECONDS)  # others hold the descriptors; do not spin
            return
        counts = Counter(pending.address for pending in self._pending)
        busiest, _ = counts.most_common(1)[0]
        self._drop(next(pending for pending in self._pending if pending.address == busiest), "pushed out by newer ones")

    def _drop_late(self) -> None:
        now = self._monotonic()
        for pending in [pending for pending, deadline in self._pending.items() if deadline <= now]:
            is_silent = isinstance(pending, Pending)
            late = f"no whole association request within {self._limits.request_seconds:g} s" if is_silent else ""
            self._drop(pending, late)

    def _drop(self, pending: Pending | Leaving, reason: str = "") -> None:
        """Close a connection, and log why if there is something to tell."""
        self._forget(pending)
        pending.close()
        left_out = self._quota.take() if reason else None
        if left_out is not None:
            fields = {"address": pending.address, "reason": reason, "left_out": left_out}
            logger.warning("connection dropped", extra={"fields": fields})

    def _forget(self, pending: Pending | Leaving) -> None:
        del self._pending[pending]
        self._held_bytes -= pending.held_bytes
        self._selector.unregister(pending.descriptor)

    def _seconds_to_deadline(self) -> float | None:
        deadline = next(iter(self._pending.values()), None)
        return None if deadline is None else max(0.0, deadline - self._monotonic())

    def _close(self) -> None:
        for pending in list(self._pending):
            self._drop(pending)
        while not self._leaving.empty():
            self._leaving.get().close()
        self._selector.close()
        self._alarm.close()
        self._bell.close()
