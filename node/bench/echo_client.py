"""An SCU of C-ECHO as small as it can be, so that what is measured is the receiver (PS3.8 9.3, PS3.7 9.3.5)."""

from __future__ import annotations

import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType

from node.vocabulary import PeerAddress

PATIENCE_SECONDS = 10.0
_VERIFICATION, _IMPLICIT, _APPLICATION = b"1.2.840.10008.1.1", b"1.2.840.10008.1.2", b"1.2.840.10008.3.1.1.1"
_ACCEPTED, _DATA, _RELEASED = 0x02, 0x04, 0x06
_RELEASE_REQUEST = bytes.fromhex("05000000000400000000")


class EchoAssociation:
    """An association for C-ECHO, as a context manager; raises OSError when the peer does not play along."""

    def __init__(self, peer: PeerAddress) -> None:
        """Open it."""
        self._socket = socket.create_connection((peer.host, peer.port), PATIENCE_SECONDS)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._exchange(_association_request(peer.ae_title), _ACCEPTED)
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> EchoAssociation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """End the association."""
        try:
            self._exchange(_RELEASE_REQUEST, _RELEASED)
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection without a release."""
        self._socket.close()

    def echo(self) -> None:
        """Send one C-ECHO and take the answer."""
        self._exchange(_ECHO, _DATA)

    def _exchange(self, request: bytes, expected: int) -> None:
        self._socket.sendall(request)
        kind, length = struct.unpack(">BxI", self._receive(6))
        self._receive(length)
        if kind != expected:
            raise ConnectionError(f"found PDU {kind:02X}, expected {expected:02X}")

    def _receive(self, count: int) -> bytes:
        received = b""
        while len(received) < count:
            more = self._socket.recv(count - len(received))
            if not more:
                raise ConnectionError("the peer closed the connection")
            received += more
        return received


def echo_in_turn(peer: PeerAddress, count: int) -> int:
    """Open so many associations one after the other, with a C-ECHO in each; return how many were served."""
    served = 0
    for _ in range(count):
        with EchoAssociation(peer) as association:
            association.echo()
        served += 1
    return served


def echo_at_once(peer: PeerAddress, count: int) -> int:
    """Open so many associations that are all open together, with a C-ECHO in each; return how many were served."""
    with ThreadPoolExecutor(count) as pool:
        opened = list(pool.map(lambda _: _echoed(peer), range(count)))
        return sum(pool.map(_released, opened))


def _echoed(peer: PeerAddress) -> EchoAssociation | None:
    """Return an association that has had its echo and is still open, None where the peer refuses or is silent."""
    try:
        association = EchoAssociation(peer)
    except OSError:
        return None
    try:
        association.echo()
    except OSError:
        association.close()
        return None
    return association


def _released(association: EchoAssociation | None) -> bool:
    """End an association; say whether it was there to the end."""
    try:
        if association is not None:
            association.release()
    except OSError:
        return False
    return association is not None


def _association_request(called: str) -> bytes:
    context = b"\x01\0\0\0" + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.826.0.1.3680043.8.498.1")
    titles = called.ljust(16).encode() + b"BENCH".ljust(16)
    body = struct.pack(">H2x", 1) + titles + bytes(32) + _item(0x10, _APPLICATION) + _item(0x20, context)
    body += _item(0x50, user)
    return struct.pack(">BxI", 0x01, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def _echo_request() -> bytes:
    """Return a P-DATA-TF with the whole of a C-ECHO-RQ (PS3.7 9.3.5.1), Implicit VR Little Endian."""
    elements = b"".join(
        struct.pack("<HHI", 0x0000, element, len(value)) + value
        for element, value in (
            (0x0002, _VERIFICATION + b"\0"),
            (0x0100, struct.pack("<H", 0x0030)),
            (0x0110, struct.pack("<H", 1)),
            (0x0800, struct.pack("<H", 0x0101)),
        )
    )
    command = struct.pack("<HHII", 0x0000, 0x0000, 4, len(elements)) + elements
    value = struct.pack(">IBB", len(command) + 2, 1, 0x03) + command
    return struct.pack(">BxI", _DATA, len(value)) + value


_ECHO = _echo_request()
