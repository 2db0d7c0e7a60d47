"""The listener: binds the ports, takes associations in, and lets them finish before the node stops."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from node.archive import Archive
from node.association.acceptor import Acceptor, Door, PendingLimits
from node.association.allowlist import AllowList, Rejection
from node.association.association import Association, Reception
from node.association.commitment import CommitmentService
from node.association.contexts import supported_contexts
from node.association.doorkeeper import Doorkeeper
from node.association.handlers import Handlers
from node.association.pending import Arrival
from node.association.tls import Credentials
from node.errors import SettingsError
from node.peers import Peer
from node.settings import TlsSection
from node.studies.index import InstanceIndex
from node.upper_layer.messages import Pace
from node.upper_layer.pdu import encode_rejection

logger = logging.getLogger("radnode.association")

_ABORT_SECONDS = 1.0
_BACKLOG = 1024
# Beside those established: requests being judged, and connections in their last second.
_NEGOTIATING = 64


@dataclass(frozen=True)
class ListenerSettings:
    """Where to listen, as whom, and for how many; port 0 means any free one.

    Only `peers` may associate, unless `accepts_anyone`. `pending` bounds connections that have no
    association yet. An association that brings no whole PDU for `idle_seconds` is aborted, as is one whose
    messages are slower than `pace`. A data set longer than `largest_instance_bytes` is refused.
    """

    ae_title: str
    host: str
    port: int
    tls: TlsSection = field(default_factory=TlsSection)
    max_associations: int = 64
    max_associations_per_peer: int = 32
    accepts_anyone: bool = True
    peers: tuple[Peer, ...] = ()
    pending: PendingLimits = field(default_factory=PendingLimits)
    idle_seconds: float = 60.0
    pace: Pace = field(default_factory=Pace)
    largest_instance_bytes: int = 8 * 1024**3


class Listener:
    """The SCP: C-ECHO, C-STORE of every storage SOP class, and storage commitment, of which it takes reports too."""

    def __init__(
        self,
        settings: ListenerSettings,
        archive: Archive,
        index: InstanceIndex,
        commitment: CommitmentService,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep instances in `archive` and record them in `index`; nothing listens before `start`.

        `commitment` takes requests and reports of storage commitment.
        """
        self._settings = settings
        self._monotonic = monotonic
        allow_list = AllowList(settings.ae_title, settings.peers, accepts_anyone=settings.accepts_anyone)
        self._reception = Reception(
            see_off=self._see_off,
            doorkeeper=Doorkeeper(allow_list, settings.max_associations, settings.max_associations_per_peer),
            handlers=Handlers(archive, index, settings.largest_instance_bytes, commitment),
            contexts=supported_contexts(),
            idle_seconds=settings.idle_seconds,
            pace=settings.pace,
        )
        self._ports: list[int] = []
        self._accepting: tuple[Acceptor, threading.Thread] | None = None
        self._lock = threading.Lock()
        self._open: set[Association] = set()

    @property
    def port(self) -> int:
        """Return the port the SCP is bound to, or the one it is to be bound to."""
        return self._ports[0] if self._ports else self._settings.port

    @property
    def tls_port(self) -> int:
        """Return the port the SCP speaks TLS on, or the one it is to be bound to."""
        return self._ports[1] if len(self._ports) > 1 else self._settings.tls.port

    def start(self) -> None:
        """Listen, in a thread of its own; raises SettingsError when an address or a certificate cannot be used."""
        settings = self._settings
        doors = [Door(_bind("dicom", settings.host, settings.port), lambda: None)]
        try:
            if settings.tls.is_on:
                credentials = Credentials(settings.tls)
                doors.append(Door(_bind("tls", settings.tls.host, settings.tls.port), credentials.context))
        except SettingsError:
            doors[0].listening.close()
            raise
        self._ports = [int(door.listening.getsockname()[1]) for door in doors]
        acceptor = Acceptor(doors, settings.pending, self._welcome, self._monotonic)
        thread = threading.Thread(target=acceptor.run, name="listener", daemon=True)
        self._accepting = acceptor, thread
        thread.start()

    def settle_late(self) -> None:
        """Make the rows of instances that have waited for long, or could not be made; to be called every so often."""
        self._reception.handlers.settle_late()

    def drain(self, seconds: float) -> int:
        """Stop listening, give open associations so long to finish, abort the rest; return how many.

        What was answered with success is safe; what was not is sent again by its sender.
        """
        if self._accepting is None:
            return 0
        acceptor, thread = self._accepting
        acceptor.shut_doors()
        self._ports = []
        deadline = self._monotonic() + seconds
        late = [found for found in self._associations() if not found.join(max(0.0, deadline - self._monotonic()))]
        for association in late:
            association.abandon(_ABORT_SECONDS)
        acceptor.stop()
        thread.join()
        self._accepting = None
        logger.info("listener stopped", extra={"fields": {"aborted": len(late)}})
        return len(late)

    def stop(self) -> None:
        """Stop at once, aborting what is open."""
        self.drain(0.0)

    def _welcome(self, arrival: Arrival) -> None:
        """Start an association, or send away a peer beyond those that we can even judge."""
        association = Association(arrival, self._reception, self._forget)
        with self._lock:
            is_welcome = len(self._open) < self._settings.max_associations + _NEGOTIATING
            if is_welcome:
                self._open.add(association)
        try:
            if is_welcome:
                association.start()
                return
        except RuntimeError:  # the system gives no thread
            self._forget(association)
        with suppress(OSError):
            arrival.connection.send(encode_rejection(Rejection.TOO_MANY.code))
        arrival.connection.close()

    def _see_off(self, connection: socket.socket, address: str) -> None:
        if self._accepting is None:
            connection.close()
        else:
            self._accepting[0].see_off(connection, address)

    def _forget(self, association: Association) -> None:
        with self._lock:
            self._open.discard(association)

    def _associations(self) -> list[Association]:
        with self._lock:
            return list(self._open)


def _bind(section: str, host: str, port: int) -> socket.socket:
    """Listen at an address; raises SettingsError when it cannot be used."""
    try:
        return socket.create_server((host, port), family=_family(host), backlog=_BACKLOG)
    except OSError as error:
        raise SettingsError(
            f"{section}.host and {section}.port: cannot listen on {host}:{port} ({error.strerror}); "
            f"free the port or choose another with RADNODE_{section.upper()}_PORT"
        ) from error


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
