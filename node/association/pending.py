"""A connection that has not made its association request yet: nothing of it may block, and little is held."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from hashlib import sha256
from selectors import EVENT_READ, EVENT_WRITE

from node.association.pdu import HEADER, judge_first_header
from node.errors import AssociationBroken, ConnectionLost

_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Arrival:
    """A connection whose association request is there, whole; `certificate` is the SHA-256 (hex) of its own."""

    connection: socket.socket
    address: str
    request: bytes
    certificate: str | None


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

    @property
    def descriptor(self) -> int:
        """Return what a selector waits on."""
        return self._connection.fileno()

    @property
    def held_bytes(self) -> int:
        """Return how much of a request is in memory."""
        return len(self._received)

    def advance(self) -> int:
        """Take what is there; return which event to wait for now, or 0 when the request is complete.

        Raises ProtocolViolation at the sixth byte of what is no association request, ConnectionLost,
        AssociationBroken for a handshake that fails.
        """
        try:
            if self._tls_connection is not None and self._is_shaking_hands:
                self._tls_connection.do_handshake()
                self._is_shaking_hands = False
            self._collect()
        except ssl.SSLWantWriteError:
            return EVENT_WRITE
        except (BlockingIOError, ssl.SSLWantReadError):
            return EVENT_READ
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError) as error:
            raise ConnectionLost("connection closed") from error
        except ssl.SSLError as error:
            raise AssociationBroken(f"TLS: {error.reason}") from error
        except OSError as error:
            raise ConnectionLost("connection failed") from error
        return 0

    def arrive(self) -> Arrival:
        """Hand over the connection with its complete request."""
        certificate = self._tls_connection.getpeercert(binary_form=True) if self._tls_connection else None
        return Arrival(
            connection=self._connection,
            address=self.address,
            request=bytes(self._received[HEADER.size :]),
            certificate=sha256(certificate).hexdigest() if certificate else None,
        )

    def close(self) -> None:
        """Close the connection without a word."""
        self._connection.close()

    def _collect(self) -> None:
        while len(self._received) < self._needed_bytes:
            piece = self._connection.recv(min(_PIECE_BYTES, self._needed_bytes - len(self._received)))
            if not piece:
                raise ConnectionLost("connection closed before any request")
            self._received += piece
            if len(self._received) == HEADER.size:
                self._needed_bytes += judge_first_header(self._received)
