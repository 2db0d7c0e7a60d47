"""The acceptor: one loop that takes connections and never waits for any of them."""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from selectors import EVENT_READ

from node.association.pending import Arrival, Pending
from node.association.quota import Quota
from node.errors import AssociationBroken, ConnectionLost
from node.logs import log_failure

_ACCEPTED_AT_ONCE = 64
_LOGGED_PER_MINUTE = 60
_OUT_OF_DESCRIPTORS_SECONDS = 0.1

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
    """Holds new connections until their association request is complete, then hands them on.

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
        self._pending: dict[Pending, float] = {}  # with their deadlines, the earliest first
        self._held_bytes = 0
        self._stopping = threading.Event()
        self._alarm, self._bell = socket.socketpair()

    def run(self) -> None:
        """Accept until stopped; then close the doors and whatever is pending."""
        self._selector.register(self._alarm, EVENT_READ)
        for door in self._doors:
            door.listening.setblocking(False)
            self._selector.register(door.listening, EVENT_READ, door)
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._seconds_to_deadline()):
                self._attend(key.data)
            self._drop_late()
        self._close()

    def stop(self) -> None:
        """Make `run` return soon."""
        self._stopping.set()
        self._bell.send(b"\0")

    def _attend(self, ready: Door | Pending | None) -> None:
        try:
            if isinstance(ready, Door):
                self._accept(ready)
            elif ready in self._pending:  # it may have been pushed out since
                self._advance(ready)
        except Exception as error:  # noqa: BLE001 - what one connection brings must not make us deaf to all others
            log_failure(logger, "connection not taken", error)
            if isinstance(ready, Pending) and ready in self._pending:
                self._drop(ready, "")

    def _accept(self, door: Door) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                connection, address = door.listening.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is free
                self._make_room()
                return
            self._take(connection, str(address[0]), door)

    def _take(self, connection: socket.socket, address: str, door: Door) -> None:
        if len(self._pending) >= self._limits.connections:
            self._make_room()
        try:
            pending = Pending(connection, address, door.tls())
        except OSError:
            connection.close()
            return
        self._pending[pending] = self._monotonic() + self._limits.request_seconds
        self._selector.register(pending.descriptor, EVENT_READ, pending)
        self._advance(pending)

    def _advance(self, pending: Pending) -> None:
        held_bytes = pending.held_bytes
        try:
            wanted = pending.advance()
        except AssociationBroken as error:
            self._drop(pending, "" if isinstance(error, ConnectionLost) else str(error))
            return
        finally:
            self._held_bytes += pending.held_bytes - held_bytes
        if wanted:
            self._selector.modify(pending.descriptor, wanted, pending)
            self._bound_memory()
        else:
            self._forget(pending)
            self._welcome(pending.arrive())

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
            self._drop(pending, f"no whole association request within {self._limits.request_seconds:g} s")

    def _drop(self, pending: Pending, reason: str) -> None:
        """Close a connection; without a reason, such as for a port probe, nothing is logged."""
        self._forget(pending)
        pending.close()
        left_out = self._quota.take() if reason else None
        if left_out is not None:
            fields = {"address": pending.address, "reason": reason, "left_out": left_out}
            logger.warning("connection dropped", extra={"fields": fields})

    def _forget(self, pending: Pending) -> None:
        del self._pending[pending]
        self._held_bytes -= pending.held_bytes
        self._selector.unregister(pending.descriptor)

    def _seconds_to_deadline(self) -> float | None:
        deadline = next(iter(self._pending.values()), None)
        return None if deadline is None else max(0.0, deadline - self._monotonic())

    def _close(self) -> None:
        for pending in list(self._pending):
            self._drop(pending, "")
        for door in self._doors:
            door.listening.close()
        self._selector.close()
        self._alarm.close()
        self._bell.close()
