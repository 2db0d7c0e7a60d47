"""The listener: binds the port, takes associations in, and lets them finish before the node stops."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from pynetdicom import AE

from node.archive import Archive
from node.association.allowlist import AllowList
from node.association.contexts import supported_contexts
from node.association.doorkeeper import Doorkeeper
from node.association.handlers import Handlers
from node.association.reception import MAXIMUM_PDU_BYTES, ReceivingServer, Reception
from node.errors import SettingsError
from node.settings import Peer
from node.studies.index import InstanceIndex
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

logger = logging.getLogger("radnode.association")

_ABORT_SECONDS = 1.0
_POLL_SECONDS = 0.1  # how soon `drain` is noticed


@dataclass(frozen=True)
class ListenerSettings:
    """Where to listen, as whom, and for how many; port 0 means any free one.

    Only `peers` may associate, unless `accepts_anyone`. Of more than `max_unestablished` connections
    that have no association yet the oldest is closed. A peer has `request_seconds` to send its
    association request, and an association that brings nothing for `idle_seconds` is aborted.
    """

    ae_title: str
    host: str
    port: int
    max_associations: int = 64
    max_associations_per_peer: int = 32
    max_unestablished: int = 200
    accepts_anyone: bool = True
    peers: tuple[Peer, ...] = ()
    request_seconds: float = 15.0
    idle_seconds: float = 60.0


class Listener:
    """The SCP: C-ECHO and C-STORE of every storage SOP class."""

    def __init__(
        self,
        settings: ListenerSettings,
        archive: Archive,
        index: InstanceIndex,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep instances in `archive` and record them in `index`; nothing listens before `start`."""
        self._settings = settings
        self._monotonic = monotonic
        handlers = Handlers(archive, index)
        self._reception = Reception(
            archive=archive,
            doorkeeper=_doorkeeper(settings),
            max_unestablished=settings.max_unestablished,
            bindings=handlers.bindings,
            note_end=handlers.close_association,
            note_rejection=handlers.record_rejection,
        )
        self._server: ReceivingServer | None = None

    @property
    def port(self) -> int:
        """Return the port the SCP is bound to, or the one it is to be bound to."""
        return self._settings.port if self._server is None else int(self._server.server_address[1])

    def start(self) -> None:
        """Listen, in a thread of its own; raises SettingsError when the address cannot be used."""
        address = (self._settings.host, self._settings.port)
        try:
            self._server = ReceivingServer(
                _application_entity(self._settings), address, supported_contexts(), self._reception
            )
        except OSError as error:
            raise SettingsError(
                f"dicom.host and dicom.port: cannot listen on {address[0]}:{address[1]} ({error.strerror}); "
                "free the port or choose another with RADNODE_DICOM_PORT"
            ) from error
        threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), name="listener", daemon=True).start()

    def drain(self, seconds: float) -> int:
        """Stop listening, give open associations so long to finish, abort the rest; return how many.

        What was answered with success is safe; what was not is sent again by its sender.
        """
        if self._server is None:
            return 0
        self._server.stop_accepting()
        deadline = self._monotonic() + seconds
        for association in self._server.open_associations:
            association.join(max(0.0, deadline - self._monotonic()))
        late = self._server.open_associations
        for association in late:
            association.abandon(_ABORT_SECONDS)
        self._server = None
        logger.info("listener stopped", extra={"fields": {"aborted": len(late)}})
        return len(late)

    def stop(self) -> None:
        """Stop at once, aborting what is open."""
        self.drain(0.0)


def _doorkeeper(settings: ListenerSettings) -> Doorkeeper:
    allow_list = AllowList(settings.ae_title, settings.peers, accepts_anyone=settings.accepts_anyone)
    return Doorkeeper(allow_list, settings.max_associations, settings.max_associations_per_peer)


def _application_entity(settings: ListenerSettings) -> AE:
    ae = AE(settings.ae_title)
    ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    ae.maximum_pdu_size = MAXIMUM_PDU_BYTES
    ae.maximum_associations = sys.maxsize  # the doorkeeper counts
    ae.acse_timeout = settings.request_seconds
    ae.network_timeout = settings.idle_seconds
    ae.dimse_timeout = settings.idle_seconds
    return ae
