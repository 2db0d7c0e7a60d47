"""The wire: one peer's PDUs out of a socket, read whole into one buffer, each within its time."""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable, Collection
from contextlib import suppress

from node.errors import AssociationBroken, ConnectionLost, PeerTooSlow
from node.upper_layer.pdu import HEADER, MAXIMUM_PDU_BYTES, WITHIN_ASSOCIATION, judge_header

_BUFFER_BYTES = HEADER.size + MAXIMUM_PDU_BYTES
_LAST_WORDS_SECONDS = 1.0
_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Wire:
    """A connection, plain or TLS, that neither waits nor lets wait.

    Nagle's algorithm at one side and delayed acknowledgement at the other cost 40 ms for each instance.
    """

    def __init__(
        self, connection: socket.socket, patience_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Give the peer `patience_seconds` for each PDU, from when we begin to wait for it to its last byte."""
        with suppress(OSError):  # the peer has gone already, as the first read will show
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # With a timeout Python asks whether there is something before each read, also where there always is.
            connection.setblocking(False)
        self._socket = connection
        self._patience_seconds = patience_seconds
        self._monotonic = monotonic
        self._buffer = memoryview(bytearray(_BUFFER_BYTES))
        self._start = self._end = 0
        self._is_interrupted = False
        self.seconds_waited = 0.0

    def next_pdu(self, expected: Collection[int] = WITHIN_ASSOCIATION) -> tuple[int, memoryview]:
        """Return type and body of the next PDU; the body is overwritten by the next call.

        Only time spent waiting for the peer counts, not what we need to keep what it sends. Raises
        ProtocolViolation as soon as the header is wrong, PeerTooSlow, ConnectionLost.
        """
        deadline = self.seconds_waited + self._patience_seconds
        self._fill(HEADER.size, deadline)
        kind, length = HEADER.unpack_from(self._buffer, self._start)
        judge_header(kind, length, expected)
        self._fill(HEADER.size + length, deadline)
        body = self._buffer[self._start + HEADER.size : self._start + HEADER.size + length]
        self._start += HEADER.size + length
        return kind, body

    def has_more(self, seconds: float) -> bool:
        """Tell whether something of the peer's, or its end, is there within so many seconds."""
        if self._start < self._end or (isinstance(self._socket, ssl.SSLSocket) and self._socket.pending()):
            return True
        return self._is_ready(select.POLLIN, seconds)

    def send(self, pdus: bytes | memoryview) -> None:
        """Send PDUs; raises PeerTooSlow for a peer that takes nothing for as long as we wait, ConnectionLost."""
        self._send(pdus, self._patience_seconds)

    def send_last(self, pdus: bytes) -> None:
        """Send what nothing follows, unless the peer takes nothing any more."""
        with suppress(AssociationBroken):
            self._send(pdus, _LAST_WORDS_SECONDS)

    def interrupt(self) -> None:
        """Let the thread that reads, now or next, find the connection lost.

        It may still send, but not over TLS: OpenSSL takes an end it did not expect for the end of all.
        """
        self._is_interrupted = True
        self._shut_down(socket.SHUT_RD)

    def cut(self) -> None:
        """Break the connection off, whatever its thread waits for."""
        self._shut_down(socket.SHUT_RDWR)

    def _send(self, pdus: bytes | memoryview, patience_seconds: float) -> None:
        left = memoryview(pdus)
        while left:
            try:
                left = left[self._socket.send(left) :]
            except _NOT_YET as waiting:
                if not self._is_ready(_awaited(waiting, select.POLLOUT), patience_seconds):
                    raise PeerTooSlow(f"takes nothing for {patience_seconds:g} s") from waiting
            except OSError as error:
                raise ConnectionLost("connection failed while sending") from error

    def _fill(self, needed: int, deadline: float) -> None:
        """Read until `needed` bytes are in the buffer, and whatever else is there."""
        while self._end - self._start < needed:
            if self._start == self._end:
                self._start = self._end = 0
            elif self._start + needed > _BUFFER_BYTES:
                held = bytes(self._buffer[self._start : self._end])
                self._buffer[: len(held)] = held
                self._start, self._end = 0, len(held)
            self._end += self._receive(deadline)

    def _receive(self, deadline: float) -> int:
        """Read what is there, and wait for it if nothing is."""
        while True:
            try:
                received = self._socket.recv_into(self._buffer[self._end :])
            except _NOT_YET as waiting:
                self._wait(_awaited(waiting, select.POLLIN), deadline)
                continue
            except OSError as error:
                raise ConnectionLost("connection failed") from error
            if not received or self._is_interrupted:
                raise ConnectionLost("connection closed")
            return received

    def _wait(self, event: int, deadline: float) -> None:
        """Wait for the peer; what it has sent is acknowledged first, for it may wait for that in its turn."""
        with suppress(OSError):  # the next read shows that it has gone
            # Linux forgets the option after a while, so it is set again each time.
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        left = deadline - self.seconds_waited
        started = self._monotonic()
        is_ready = left > 0.0 and self._is_ready(event, left)
        self.seconds_waited += self._monotonic() - started
        if not is_ready:
            raise PeerTooSlow(f"no whole PDU within {self._patience_seconds:g} s")

    def _is_ready(self, event: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(self._socket, event)
        return bool(poll.poll(seconds * 1000))

    def _shut_down(self, direction: int) -> None:
        with suppress(OSError):  # it may be closed already
            # The method of a TLS socket would forget its keys, and what is sent would go out in plain text.
            socket.socket.shutdown(self._socket, direction)


def _awaited(waiting: OSError, otherwise: int) -> int:
    """Return what to poll for: TLS may have to read in order to write, and the other way round."""
    if isinstance(waiting, ssl.SSLWantReadError):
        return select.POLLIN
    return select.POLLOUT if isinstance(waiting, ssl.SSLWantWriteError) else otherwise
