"""The requestor's side of an association: prompt on the wire, bounded in time, in the thread of who asks."""

from __future__ import annotations

import socket
import ssl
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.delivery.handshake import Handshake, prepare_handshake
from node.delivery.proposal import (
    Acceptance,
    AcceptedContext,
    decode_acceptance,
    decode_rejection,
    encode_proposal,
    number_contexts,
)
from node.errors import AssociationBroken, DeliveryDelayed, DeliveryRefused, PeerAborted, PeerRejects, PeerUnreachable
from node.upper_layer.command import (
    VERIFICATION,
    Command,
    Request,
    Response,
    decode_message,
    encode_request,
    encode_response,
)
from node.upper_layer.items import Roles
from node.upper_layer.messages import Messages, Pace
from node.upper_layer.pdu import (
    OutgoingDataSet,
    PduType,
    encode_abort_by_user,
    encode_command_pdus,
    encode_data_set_pdus,
    encode_release_request,
    encode_release_response,
)
from node.upper_layer.wire import Wire
from node.vocabulary import PeerAddress

_NAMES = {
    Command.C_STORE_RQ: "C-STORE",
    Command.C_ECHO_RQ: "C-ECHO",
    Command.N_EVENT_REPORT_RQ: "N-EVENT-REPORT",
    Command.N_ACTION_RQ: "N-ACTION",
}
_ANSWERS_TO_PROPOSAL = frozenset((PduType.ASSOCIATE_AC, PduType.ASSOCIATE_RJ, PduType.ABORT))
_BEFORE_RELEASE = frozenset((PduType.DATA, PduType.RELEASE_RQ, PduType.RELEASE_RP, PduType.ABORT))
_ENDS = frozenset((PduType.RELEASE_RP, PduType.ABORT))
_MESSAGE_IDS = 0xFFFF

PLAIN_SYNTAXES = (str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian))
PROPOSED_VERIFICATION = (VERIFICATION, PLAIN_SYNTAXES)
_LONGEST_ANSWER_BYTES = 4 * 1024 * 1024  # more than any report of storage commitment has


@dataclass(frozen=True)
class Requestor:
    """Who asks for associations, and for how many seconds a peer may neither answer nor take anything."""

    ae_title: str
    timeout_seconds: float


@dataclass(frozen=True)
class PeerRequest:
    """A request that the peer makes within our association, and its data set."""

    request: Request
    data_set: bytes


class OutgoingAssociation:
    """An association that we asked for, one request after the other."""

    def __init__(self, wire: Wire, acceptance: Acceptance) -> None:
        self.acceptance = acceptance
        self._wire = wire
        self._messages = Messages(wire, [context.context_id for context in acceptance.contexts], Pace())
        self._message_id = 0
        self._unheard: deque[PeerRequest] = deque()

    @property
    def contexts(self) -> tuple[AcceptedContext, ...]:
        """Return the contexts that the peer accepted."""
        return self.acceptance.contexts

    def echo(self, context: AcceptedContext) -> Response:
        """Ask for an answer (PS3.7 9.1.5); raises as `ask`."""
        return self.ask(context, Command.C_ECHO_RQ, "")

    def ask(
        self,
        context: AcceptedContext,
        field: Command,
        sop_instance_uid: str,
        data_set: OutgoingDataSet | None = None,
        type_id: int | None = None,
    ) -> Response:
        """Send a request of the context's SOP class and return its answer.

        Raises DeliveryDelayed when the peer falls silent, breaks off or answers something else, and EOFError for a data
        set that is shorter than said.
        """
        self._message_id = self._message_id % _MESSAGE_IDS + 1
        request = Request(
            context_id=context.context_id,
            field=field,
            message_id=self._message_id,
            has_data_set=data_set is not None,
            sop_class_uid=context.abstract_syntax,
            sop_instance_uid=sop_instance_uid,
            type_id=type_id,
        )
        try:
            self._send(request, data_set)
            response = self._await_response()
        except AssociationBroken as error:
            name = _NAMES[field]
            raise DeliveryDelayed(
                f"no answer to {name}: the peer fell silent or broke off the association ({error})"
            ) from error
        if not response.answers(request):
            raise DeliveryDelayed(f"the answer to {_NAMES[field]} is none; see the peer's log")
        return response

    def hear(self, seconds: float) -> PeerRequest | None:
        """Return what the peer asks within so many seconds, None if it does not.

        Raises AssociationBroken when it ends the association.
        """
        if not self._unheard and self._messages.has_more(seconds):
            message = self._next_message()
            if isinstance(message, PeerRequest):
                return message
        return self._unheard.popleft() if self._unheard else None

    def answer(self, heard: PeerRequest, status: int) -> None:
        """Answer what was heard; raises AssociationBroken when the peer does not take it."""
        response = encode_response(heard.request, status)
        self._wire.send(encode_command_pdus(heard.request.context_id, response, self.acceptance.longest_pdu_bytes))

    def release(self, timeout_seconds: float) -> None:
        """End the association as the standard has it; a peer that does not take part is left alone after a while."""
        deadline = time.monotonic() + timeout_seconds
        with suppress(AssociationBroken):
            self._wire.send(encode_release_request())
            while (kind := self._wire.next_pdu(_BEFORE_RELEASE)[0]) not in _ENDS and time.monotonic() < deadline:
                if kind == PduType.RELEASE_RQ:  # both at once (PS3.8 7.2.2.7)
                    self._wire.send(encode_release_response())

    def abort(self) -> None:
        """End the association as it is."""
        self._wire.send_last(encode_abort_by_user())

    def _send(self, request: Request, data_set: OutgoingDataSet | None) -> None:
        longest = self.acceptance.longest_pdu_bytes
        self._wire.send(encode_command_pdus(request.context_id, encode_request(request), longest))
        if data_set is not None:
            for pdus in encode_data_set_pdus(request.context_id, data_set, longest):
                self._wire.send(pdus)

    def _await_response(self) -> Response:
        """Return the next response; what the peer asks meanwhile is heard later."""
        while isinstance(message := self._next_message(), PeerRequest):
            self._unheard.append(message)
        return message

    def _next_message(self) -> Response | PeerRequest:
        command = self._messages.next_command()
        if command is None:
            raise PeerAborted("released by the peer")
        message = decode_message(*command)
        data_set = bytearray()
        if message.has_data_set:
            for fragment in self._messages.data_set(message.context_id):
                data_set += fragment
                if len(data_set) > _LONGEST_ANSWER_BYTES:
                    raise PeerAborted(f"a data set of more than {_LONGEST_ANSWER_BYTES} bytes from the peer")
        return PeerRequest(message, bytes(data_set)) if isinstance(message, Request) else message


@contextmanager
def associate(
    requestor: Requestor,
    peer: PeerAddress,
    syntaxes: Sequence[tuple[str, Sequence[str]]],
    roles: Mapping[str, Roles] | None = None,
) -> Iterator[OutgoingAssociation]:
    """Give an established association; it is released at the end, or aborted after an error.

    A context is proposed for each of the `syntaxes`, an abstract one with its transfer syntaxes. We are the SCU of
    every SOP class for which `roles` proposes nothing else.

    Raises PeerUnreachable when the peer cannot be reached or refuses the association, PeerUntrusted when TLS
    with it fails, DeliveryRefused when it accepts none of the contexts.
    """
    handshake = prepare_handshake(peer)
    with _connect(peer, handshake, requestor.timeout_seconds) as connection:
        wire = Wire(connection, requestor.timeout_seconds)
        contexts = number_contexts(syntaxes)
        try:
            wire.send(encode_proposal(requestor.ae_title, peer.ae_title, contexts, roles or {}))
            kind, body = wire.next_pdu(_ANSWERS_TO_PROPOSAL)
            acceptance = decode_acceptance(bytes(body), contexts) if kind == PduType.ASSOCIATE_AC else None
        except AssociationBroken as error:
            if handshake is not None and isinstance(error.__cause__, ssl.SSLError):
                # Of TLS 1.3 it is only now that we learn that we are not trusted.
                raise handshake.failure(error.__cause__) from error
            raise PeerUnreachable(f"{_name(peer)}: no answer ({error}); check address and port") from error
        if acceptance is None:
            raise _refusal(peer, kind, bytes(body))
        association = OutgoingAssociation(wire, acceptance)
        if not acceptance.contexts:
            association.release(requestor.timeout_seconds)
            raise DeliveryRefused(f"{_name(peer)}: accepts none of the SOP classes proposed")
        yield from _ended_well(association, requestor.timeout_seconds)


def _ended_well(association: OutgoingAssociation, timeout_seconds: float) -> Iterator[OutgoingAssociation]:
    try:
        yield association
    except GeneratorExit:  # enough has been sent, and every answer to it is in hand
        association.release(timeout_seconds)
        raise
    except BaseException:
        association.abort()
        raise
    association.release(timeout_seconds)


def _connect(peer: PeerAddress, handshake: Handshake | None, timeout_seconds: float) -> socket.socket:
    """Return a connection to the peer, over TLS where it is wanted; raises PeerUnreachable, PeerUntrusted."""
    try:
        connection = socket.create_connection((peer.host, peer.port), timeout_seconds)
    except (OSError, UnicodeError) as error:  # a label of the host's name may be empty or too long
        reason = getattr(error, "strerror", None) or error
        raise PeerUnreachable(
            f"{_name(peer)}: no connection ({reason}); check that it runs, its address and its port"
        ) from error
    if handshake is None:
        return connection
    try:
        return handshake.shake(connection)
    except BaseException:
        connection.close()
        raise


def _refusal(peer: PeerAddress, kind: int, body: bytes) -> PeerUnreachable:
    """Return the error for an answer that is no acceptance."""
    if kind == PduType.ABORT:
        return PeerUnreachable(f"{_name(peer)}: association request aborted")
    code, words = decode_rejection(body)
    return PeerRejects(f"{_name(peer)}: association rejected ({words}); check both AE titles there", code)


def _name(peer: PeerAddress) -> str:
    return f"{peer.ae_title} at {peer.host}:{peer.port}"
