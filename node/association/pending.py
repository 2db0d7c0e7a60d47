"""Connections without an association, before it or after: nothing of them may block, and little is held."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE

from node.certificates import ShownCertificate, shown_by
from node.errors import AssociationBroken, ConnectionLost
from node.upper_layer.pdu import HEADER, judge_first_header

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Arrival:
    """A connection whose association request is there, whole; `certificate` is the one it showed, if any."""

    connection: socket.socket
    address: str
    request: bytes
    certificate: ShownCertificate | None


class Pending:
    """Collects the first PDU of a connection, after the TLS handshake where there is one."""

    def __init__(self, connection: socket.socket, address: str, tls: ssl.SSLContext | None) -> None:
        """Take over an accepted connection, which never blocks from now on."""
        connection.setblocking(False)
        self.address = address
        self._connection = connection
        self._tls_connection: ssl.SSLSocket | None = None
        if tls is not None:
            self._tls_connection = tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._connection = self._tls_connection
        self._is_shaking_hands = tls is not None
        self._received = bytearray()
        self._needed_bytes = HEADER.size
        self.awaited = EVENT_READ

    @property
    def descriptor(self) -> int:
        """Return what a selector waits on."""
        return self._connection.fileno()

    @property
    def held_bytes(self) -> int:
        """Return how much of a request is in memory."""
        return len(self._received)

    def advance(self) -> Arrival | None:
        """Take what is there; return the connection with its request once that is complete.

        Raises ProtocolViolation at the sixth byte of what is no association request, ConnectionLost,
        AssociationBroken for a handshake that fails.
        """
        try:
            if self._tls_connection is not None and self._is_shaking_hands:
                self._tls_connection.do_handshake()
                self._is_shaking_hands = False
            self._collect()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as waiting:
            self.awaited = EVENT_WRITE if isinstance(waiting, ssl.SSLWantWriteError) else EVENT_READ
            return None
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionLost("connection closed") from error
        except ssl.SSLError as error:
            raise AssociationBroken(f"TLS: {error.reason}") from error
        except OSError as error:
            raise ConnectionLost("connection failed") from error
        return self._arrive()

    def close(self) -> None:
        """Close the connection without a word."""
        self._connection.close()

    def _arrive(self) -> Arrival:
        return Arrival(
            connection=self._connection,
            address=self.address,
            request=bytes(self._received[HEADER.size :]),
            certificate=shown_by(self._tls_connection) if self._tls_connection else None,
        )

    def _collect(self) -> None:
        while len(self._received) < self._needed_bytes:
            piece = self._connection.recv(min(_PIECE_BYTES, self._needed_bytes - len(self._received)))
            if not piece:
                raise ConnectionLost("connection closed before any request")
            self._received += piece
            if len(self._received) == HEADER.size:
                self._needed_bytes += judge_first_header(self._received)


class Leaving:
    """A connection on which all is said: the peer closes it, or its time is up (PS3.8 9.2, ARTIM).

    Were we to close first, a peer that is still sending would lose our last words.
    """

    held_bytes = 0
    awaited = EVENT_READ

    def __init__(self, connection: socket.socket, address: str) -> None:
        """Say that nothing more will come."""
        self.address = address
        self._connection = connection
        connection.setblocking(False)
        with suppress(OSError):  # the peer has gone already
            socket.socket.shutdown(connection, socket.SHUT_WR)

    @property
    def descriptor(self) -> int:
        """Return what a selector waits on."""
        return self._connection.fileno()

    def advance(self) -> None:
        """Pass over what the peer still says; raises ConnectionLost when it has closed."""
        try:
            # Of a TLS socket too it is the bytes themselves that are passed over.
            is_open = bool(socket.socket.recv(self._connection, _PIECE_BYTES))
        except BlockingIOError:
            return
        except OSError as error:
            raise ConnectionLost("connection failed") from error
        if not is_open:
            raise ConnectionLost("connection closed")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
