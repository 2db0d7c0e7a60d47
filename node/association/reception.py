"""One association as it comes in: PDUs within limits, data sets straight from the wire into parts."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import count
from socketserver import BaseServer
from typing import Any, cast

from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import A_ABORT, P_DATA
from pynetdicom.presentation import PresentationContext
from pynetdicom.service_class import StorageServiceClass
from pynetdicom.transport import AssociationSocket, RequestHandler, ThreadedAssociationServer

from node.archive import AnnouncedInstance, Archive, Part
from node.association.allowlist import Caller, Rejection
from node.association.doorkeeper import Doorkeeper, GuardedAcse
from node.errors import ArchiveError, ContextMismatch, MalformedInstance

MAXIMUM_PDU_BYTES = 256 * 1024
# An association request may be longer than what we accept of data: 128 contexts, each with every syntax.
LARGEST_PDU_BYTES = 1024 * 1024
STALL_SECONDS = 60.0

_INVALID_PDU = "Evt19"  # of the upper layer's state machine (PS3.8 9.2.1): it aborts

logger = logging.getLogger("radnode.association")

Binding = tuple[Any, Callable[..., Any]]


class IncomingDataSet(BytesIO):
    """Takes the place of the memory that pynetdicom would gather a data set in, and writes to a part.

    Nothing is raised while data arrive, for there is nobody to answer then; `failure` keeps the
    first error until the request is complete, and what follows it is dropped.
    """

    def __init__(self, open_part: Callable[[], Part]) -> None:
        super().__init__()
        self._open_part = open_part
        self.part: Part | None = None
        self.failure: ArchiveError | OSError | None = None

    def write(self, fragment: Any) -> int:
        """Append a fragment to the part, which is opened for the first one."""
        if self.failure is None:
            try:
                self.part = self.part or self._open_part()
                self.part.write(fragment)
            except (ArchiveError, OSError) as error:
                self.failure = error
                self._discard()
        return len(fragment)

    def _discard(self) -> None:
        """Give the room back at once; the rest of the data set may still be long in coming."""
        if self.part is not None:
            self.part.discard()


class StreamingDimse(DIMSEServiceProvider):
    """A DIMSE provider that never holds a data set in memory, and removes the parts nobody claims."""

    def __init__(self, association: ReceivingAssociation, archive: Archive) -> None:
        super().__init__(association)
        self._archive = archive
        self._unclaimed: set[Part] = set()

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Give each new message a data set that goes to disk; abort on one that cannot be decoded."""
        if self.message is None:
            message = DIMSEMessage()
            message.data_set = IncomingDataSet(lambda: self._open_part(message))
            self.message = message
        try:
            super().receive_primitive(primitive)
        except Exception as error:  # noqa: BLE001 - garbage makes pydicom and pynetdicom raise anything
            # The traceback would show what the peer sent, which may be anything.
            logger.warning("message not understood", extra={"fields": {"error": type(error).__name__}})
            self.dul.event_queue.put(_INVALID_PDU)

    def claim(self, data_set: object) -> Part:
        """Hand over the complete part of a request; raises what went wrong while it arrived."""
        if not isinstance(data_set, IncomingDataSet) or (data_set.part is None and data_set.failure is None):
            raise MalformedInstance("data set: found none, expected one after the C-STORE command")
        if data_set.failure is not None:
            raise data_set.failure
        assert data_set.part is not None
        self._unclaimed.discard(data_set.part)
        return data_set.part

    def discard_unclaimed(self) -> None:
        """Remove what an association left half sent."""
        for part in self._unclaimed:
            part.discard()
        self._unclaimed.clear()

    def _open_part(self, message: DIMSEMessage) -> Part:
        accepted = {context.context_id: context for context in self.assoc.accepted_contexts}
        context = accepted.get(message.context_id)
        if context is None:
            raise ContextMismatch("C-STORE in a presentation context that was not accepted")
        announced = AnnouncedInstance(
            sop_class_uid=str(message.command_set.get("AffectedSOPClassUID", "")),
            sop_instance_uid=str(message.command_set.get("AffectedSOPInstanceUID", "")),
            transfer_syntax_uid=str(context.transfer_syntax[0]),
        )
        if announced.sop_class_uid != context.abstract_syntax:
            raise ContextMismatch("Affected SOP Class UID: found another than its presentation context is for")
        part = self._archive.begin(announced)
        self._unclaimed.add(part)
        return part


class ReceivingSocket(AssociationSocket):
    """A socket that bounds what it reads in length and time, and neither waits nor lets wait.

    Nagle's algorithm at the sender and delayed acknowledgement here cost 40 ms for each image.
    """

    def __init__(self, association: ReceivingAssociation, accepted: socket.socket) -> None:
        super().__init__(association, client_socket=accepted)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        accepted.settimeout(STALL_SECONDS)

    def _shutdown_socket(self) -> None:
        """Close the socket even when the peer has gone before, which pynetdicom does not."""
        opened = self.socket
        super()._shutdown_socket()
        if opened is not None:
            opened.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read exactly so many bytes, or fewer if the peer closes; acknowledge them at once.

        Raises OSError for a PDU longer than any we allow; pynetdicom then closes the connection.
        """
        if nr_bytes > LARGEST_PDU_BYTES:
            raise ConnectionAbortedError(f"PDU of {nr_bytes} bytes, expected {LARGEST_PDU_BYTES} at most")
        assert self.socket is not None
        received = bytearray(nr_bytes)
        unfilled = memoryview(received)
        while unfilled:
            # Linux forgets the option after a while, so it is set again for each read.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            read = self.socket.recv_into(unfilled)
            if read == 0:
                return bytearray(received[: len(received) - len(unfilled)])
            unfilled = unfilled[read:]
        return received


class ReceivingAssociation(Association):
    """An association a peer asked for; `association_id` is its key in the index once established."""

    association_id: int | None = None
    dimse: StreamingDimse
    acse: GuardedAcse

    def __init__(self, ae: AE, server: ReceivingServer) -> None:
        super().__init__(ae, "acceptor")
        reception = server.reception
        self.dimse = StreamingDimse(self, reception.archive)
        self.acse = GuardedAcse(self, reception.doorkeeper, reception.note_rejection)
        self._server = server
        self._reception = reception
        self._is_aborted_by_peer = False
        self.number = next(server.numbers)
        # pynetdicom finds a server's associations by this part of the thread's name.
        self.name = f"AcceptorThread@{self.number}"

    @property
    def ending(self) -> str:
        """Return how it ended: "released", "aborted" (by either side) or "connection lost"."""
        if self.is_released:
            return "released"
        return "aborted" if self._is_aborted_by_peer or self._sent_abort else "connection lost"

    def run_reactor(self) -> None:
        """Serve requests to the end; whatever that is, no part stays behind and the index hears of it."""
        try:
            super().run_reactor()
        finally:
            self.acse.leave()
            self.dimse.discard_unclaimed()
            self._reception.note_end(self)

    def note_abort(self, event: Any) -> None:
        """Remember that the peer itself aborted, which a lost connection looks like afterwards."""
        self._is_aborted_by_peer |= isinstance(event.primitive, A_ABORT)

    def note_close(self, _event: Any) -> None:
        """End at once when the connection closes before any request, as a port probe's does.

        pynetdicom would go on waiting for the request, and count the association meanwhile.
        """
        if self.requestor.primitive is None:
            self.dul.to_user_queue.put(cast(Any, None))

    def abandon(self, patience_seconds: float) -> None:
        """Abort; close the connection of a peer that leaves no chance to say so."""
        self.abort(block=False)
        self.join(patience_seconds)
        if self.is_alive():
            self.close_connection()

    def close_connection(self) -> None:
        """Close the connection, whatever the peer is about to say."""
        if self.dul.socket is not None:
            self.dul.socket.close()

    def _serve_request(self, msg: Any, context_id: int) -> None:
        """Serve one request; for C-STORE whatever SOP class it names, as the handler answers for that.

        pynetdicom leaves a request without its parameters unanswered, and aborts, with everything
        still to come, for one instance of a SOP class it does not know.
        """
        contexts = {context.context_id: context for context in self.accepted_contexts}
        if not msg.is_valid_request:
            self.abort()
        elif isinstance(msg, C_STORE) and context_id in contexts:
            StorageServiceClass(self).SCP(msg, contexts[context_id])
        else:
            super()._serve_request(msg, context_id)


@dataclass(frozen=True)
class Reception:
    """What every association of a listener needs: who may come in, where parts go, who hears of its events.

    Of more than `max_unestablished` connections without an association the oldest is closed.
    """

    archive: Archive
    doorkeeper: Doorkeeper
    max_unestablished: int
    bindings: Sequence[Binding]
    note_end: Callable[[ReceivingAssociation], None]
    note_rejection: Callable[[Caller, Rejection], None]


class ReceivingHandler(RequestHandler):
    """Makes an association out of a connection."""

    server: ReceivingServer

    def _create_association(self) -> ReceivingAssociation:
        self.server.make_room()
        association = ReceivingAssociation(self.ae, self.server)
        association.set_socket(ReceivingSocket(association, self.request))
        acceptor = association.acceptor
        acceptor.maximum_length = self.ae.maximum_pdu_size
        acceptor.ae_title = self.server.ae_title
        acceptor.address_info = self.local
        acceptor.implementation_class_uid = self.ae.implementation_class_uid
        acceptor.implementation_version_name = self.ae.implementation_version_name
        acceptor.supported_contexts = self.server.contexts
        association.requestor.address_info = self.remote
        for event, handler in self.server.reception.bindings:
            association.bind(event, handler)
        association.bind(evt.EVT_ACSE_RECV, association.note_abort)
        association.bind(evt.EVT_CONN_CLOSE, association.note_close)
        return association


class ReceivingServer(ThreadedAssociationServer):
    """Accepts connections until it is stopped; the associations live on."""

    def __init__(
        self, ae: AE, address: tuple[str, int], contexts: list[PresentationContext], reception: Reception
    ) -> None:
        """Listen at `address` as `ae`; port 0 picks a free one."""
        self.reception = reception
        self.numbers = count(1)
        super().__init__(ae, address, ae.ae_title, contexts, request_handler=ReceivingHandler)

    @property
    def open_associations(self) -> list[ReceivingAssociation]:
        """Return the associations that have not ended."""
        return [found for found in self.active_associations if isinstance(found, ReceivingAssociation)]

    def make_room(self) -> None:
        """Close the connection that has waited longest for its association when too many wait."""
        waiting = [found for found in self.open_associations if not found.is_established]
        if len(waiting) >= self.reception.max_unestablished:
            min(waiting, key=lambda found: found.number).close_connection()

    def service_actions(self) -> None:
        """Leave the collection of garbage to Python; pynetdicom would force it at every 60th poll."""

    def stop_accepting(self) -> None:
        """Stop accepting connections and free the port."""
        BaseServer.shutdown(self)
        self.server_close()
