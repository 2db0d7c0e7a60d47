"""Where audit messages go: a file for each day, and a syslog server over TLS."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from node.errors import AuditUndelivered
from node.tls import restrict

_FACILITY_SECURITY = 10  # RFC 5424 6.2.1, as PS3.15 A.5 asks for
_SEVERITY_NOTICE = 5
_TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Entry:
    """One audit message as bytes, and when it happened."""

    at: datetime
    xml: bytes


class Sink(Protocol):
    """Takes audit messages; what it was given is safe, or it raises AuditUndelivered."""

    name: str

    def write(self, entries: Sequence[Entry]) -> None:
        """Take all of these, or raise AuditUndelivered."""


class DailyFile:
    """Appends to one file per day (UTC), which only our user can read; one message per line."""

    name = "file"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, entries: Sequence[Entry]) -> None:
        """Append and flush to disk."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            for day in sorted({entry.at.date() for entry in entries}):
                lines = b"".join(entry.xml + b"\n" for entry in entries if entry.at.date() == day)
                self._append(self._folder / f"{day.isoformat()}.xml", lines)
        except OSError as error:
            raise AuditUndelivered(f"audit file in {self._folder}: {error.strerror}; free the disk") from error

    def _append(self, path: Path, lines: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode=0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())


@dataclass(frozen=True)
class SyslogServer:
    """An audit record repository: where it listens, whom it must show itself to be, and who we are to it."""

    host: str
    port: int
    authorities: str = ""
    certificate: str = ""
    key: str = ""


class Syslog:
    """Sends each message as one RFC 5424 record over TLS (RFC 5425), on a connection of its own for each batch.

    TLS has no answer of the reader's: a batch counts as taken when the server has closed the connection
    after ours in good order, so that a server that died meanwhile gets it again.
    """

    name = "syslog"

    def __init__(self, server: SyslogServer, hostname: str) -> None:
        self._server = server
        self._hostname = hostname

    def write(self, entries: Sequence[Entry]) -> None:
        """Send all of these; raises AuditUndelivered when the server is not there or not who it should be."""
        where = f"audit.syslog {self._server.host}:{self._server.port}"
        try:
            with (
                socket.create_connection((self._server.host, self._server.port), _TIMEOUT_SECONDS) as plain,
                self._context().wrap_socket(plain, server_hostname=self._server.host) as connection,
            ):
                for entry in entries:
                    connection.sendall(self._record(entry))
                connection.unwrap()
        except ssl.SSLError as error:
            raise AuditUndelivered(f"{where}: TLS failed ({error.reason}); check syslog_ca and certificates") from error
        except OSError as error:
            why = error.strerror or "no answer"
            raise AuditUndelivered(f"{where}: {why}; start it or correct the address") from error

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._server.authorities or None)
        restrict(context)
        if self._server.certificate:
            context.load_cert_chain(self._server.certificate, self._server.key or None)
        return context

    def _record(self, entry: Entry) -> bytes:
        priority = _FACILITY_SECURITY * 8 + _SEVERITY_NOTICE
        time = entry.at.isoformat(timespec="milliseconds")
        head = f"<{priority}>1 {time} {self._hostname} radnode {os.getpid()} DICOM+RFC3881 - "
        record = head.encode() + b"\xef\xbb\xbf" + entry.xml
        return str(len(record)).encode() + b" " + record
