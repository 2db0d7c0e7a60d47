"""Opens associations to a peer: prompt on the wire, bounded in time, and losing no response."""

from __future__ import annotations

import queue
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import A_ASSOCIATE, SCP_SCU_RoleSelectionNegotiation
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from node.delivery.handshake import Handshake, prepare_handshake
from node.errors import DeliveryRefused, PeerUnreachable, PeerUntrusted
from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, PeerAddress

_REJECTED = (1, 2)  # for good, for now (PS3.8 9.3.4)


class ResponseKeeper(DIMSEServiceProvider):
    """A DIMSE provider that keeps every response for the one who asked.

    In pynetdicom 3.0.4 the association's own thread takes messages from the same queue as the sender
    that waits for a response. It is paused while a request is outstanding, but it says that it is
    paused before it has seen the pause: between the two it can take a C-STORE response for an
    unexpected request and drop it. The sender then waits for the whole timeout and the association
    is lost. As requestor we serve no requests, so here that thread, the only one that does not
    block, gets nothing.
    """

    def get_msg(self, block: bool = False) -> Any:
        """Wait for the response; give up when the peer neither answers nor takes data for the timeout."""
        if not block:
            return None, None
        unsent = None
        while unsent != (unsent := self.dul.to_provider_queue.qsize()):
            try:
                return self.msg_queue.get(timeout=self.dimse_timeout)
            except queue.Empty:
                continue
        return None, None


class PromptSocket(AssociationSocket):
    """A socket that neither waits to fill a segment nor lets the peer wait for an acknowledgement.

    Nagle's algorithm on one side and delayed acknowledgement on the other cost 40 ms per object.
    """

    handshake: Handshake | None = None
    failure: OSError | PeerUntrusted | None = None

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        created: socket.socket = super()._create_socket(address)
        created.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return created

    def connect(self, primitive: T_CONNECT) -> None:
        """Connect, over TLS where it is wanted; from then on a peer that stops reading is given up after the timeout.

        Takes the place of pynetdicom's, which says of a failure only that there was one.
        """
        try:
            self._open(primitive.address_info)
        except (OSError, PeerUntrusted) as error:
            self.failure = error
            self._shutdown_socket()
            self.socket = None
        self._is_connected = self.socket is not None
        primitive.result = "Evt2" if self._is_connected else "Evt17"  # the connection is there, or is not
        self.provider_queue.put(primitive)
        self._ready.set()

    def _open(self, address: AddressInformation) -> None:
        opened = self.socket
        assert opened is not None
        opened.settimeout(self.assoc.connection_timeout)
        opened.connect(address.as_tuple)
        if self.handshake is not None:
            self.socket = opened = self.handshake.shake(opened)
        opened.settimeout(self.assoc.dimse_timeout)

    def _shutdown_socket(self) -> None:
        """Close the socket even when there is no connection to shut down, which pynetdicom does not."""
        opened = self.socket
        super()._shutdown_socket()
        if opened is not None:
            opened.close()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read, and acknowledge at once; Linux forgets the option, so it is set for each read."""
        if self.socket is not None:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            received: bytearray = super().recv(nr_bytes)
        except ssl.SSLError as error:  # of TLS 1.3 it is only now that we learn that we are not trusted
            self.failure = self.handshake.failure(error) if self.handshake else error
            raise
        return received


class Requestor(AE):
    """An application entity whose associations use the two classes above."""

    def __init__(self, ae_title: str, timeout_seconds: float) -> None:
        """Call ourselves `ae_title`; no step waits longer than the timeout without progress."""
        super().__init__(ae_title)
        self.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        self.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.connection_timeout = timeout_seconds
        self.acse_timeout = timeout_seconds
        self.dimse_timeout = timeout_seconds
        # It only watches what comes in, so it would end an association while we are sending.
        self.network_timeout = None
        self.handshake: Handshake | None = None

    def _create_socket(self, assoc: Association, address: AddressInformation, _: Any) -> PromptSocket:
        assoc.dimse = ResponseKeeper(assoc)
        created = PromptSocket(assoc, address=address)
        created.handshake = self.handshake
        return created


@contextmanager
def associate(
    requestor: Requestor,
    peer: PeerAddress,
    contexts: Sequence[PresentationContext],
    roles: Sequence[SCP_SCU_RoleSelectionNegotiation] = (),
) -> Iterator[Association]:
    """Give an established association; it is released at the end, or aborted after an error.

    We are the SCU of every SOP class for which `roles` proposes nothing else.

    Raises PeerUnreachable when the peer cannot be reached or refuses the association, PeerUntrusted when TLS
    with it fails, DeliveryRefused when it accepts none of the contexts.
    """
    requestor.handshake = prepare_handshake(peer)
    try:
        association = requestor.associate(
            peer.host, peer.port, list(contexts), ae_title=peer.ae_title, ext_neg=list(roles)
        )
    except OSError as error:
        raise PeerUnreachable(f"{_name(peer)}: {error.strerror or error}") from error
    try:
        if not association.is_established:
            raise _refusal(association, peer)
        yield from _ended_well(association)
    finally:
        _close_connection(association)


def _ended_well(association: Association) -> Iterator[Association]:
    try:
        yield association
    except GeneratorExit:  # enough has been sent, and every answer to it is in hand
        association.release()
        raise
    except BaseException:
        association.abort()
        raise
    association.release()


def _close_connection(association: Association) -> None:
    """Close the connection for good: after an answer that is garbled pynetdicom takes it for closed."""
    transport = association.dul.socket
    opened = None if transport is None else transport.socket
    if opened is not None:
        opened.close()


def _refusal(association: Association, peer: PeerAddress) -> PeerUnreachable | DeliveryRefused:
    """Return the error that says why an association did not come about."""
    answer = _answer_to_request(association)
    if answer is not None and answer.result in _REJECTED:
        numbers = f"{answer.result},{answer.result_source},{answer.diagnostic}"
        return PeerUnreachable(
            f"{_name(peer)}: association rejected ({numbers}: {answer.reason_str}); check both AE titles there"
        )
    failure = association.dul.socket.failure if isinstance(association.dul.socket, PromptSocket) else None
    if isinstance(failure, PeerUntrusted):
        return failure
    if failure is not None:
        return PeerUnreachable(f"{_name(peer)}: no connection; check that it runs, its address and its port")
    if association.rejected_contexts:
        return DeliveryRefused(f"{_name(peer)}: accepts none of the SOP classes proposed")
    if association.is_aborted:
        return PeerUnreachable(f"{_name(peer)}: association request aborted")
    return PeerUnreachable(f"{_name(peer)}: no connection or no answer; check address and port")


def _answer_to_request(association: Association) -> Any:
    """Return the A-ASSOCIATE primitive that the peer answered, None if it did not.

    pynetdicom 3.0.4 looks whether there is a connection before it looks for an answer; the connection of a peer
    that rejects at once may be closed again by then, and the answer lies in the queue.
    """
    answer: Any = association.acceptor.primitive
    receive: Callable[[], Any] = association.dul.receive_pdu
    while answer is None and (waiting := receive()) is not None:
        answer = waiting if isinstance(waiting, A_ASSOCIATE) else None
    return answer


def _name(peer: PeerAddress) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"
