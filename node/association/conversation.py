"""What is said within an association: requests of C-ECHO, C-STORE and storage commitment, and our answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from node.archive import OutlineReader
from node.association.commitment import IncomingInformation
from node.association.handlers import Guest, Handlers
from node.association.negotiation import AnsweredContext
from node.association.statuses import Answer, StoreStatus
from node.errors import ProtocolViolation
from node.upper_layer.command import VERIFICATION, Command, Request, decode_request, encode_response
from node.upper_layer.messages import CommandSet, Messages, Pace
from node.upper_layer.pdu import AbortReason, encode_command_pdus
from node.upper_layer.wire import Wire


@dataclass(frozen=True)
class Terms:
    """What both sides agreed on, how long a PDU the peer takes (0: any), and how slow it may be."""

    contexts: Mapping[int, AnsweredContext]
    longest_pdu_bytes: int
    pace: Pace


class Conversation:
    """Serves one request after the other, as no asynchronous window is negotiated (PS3.7 D.3.3.3)."""

    def __init__(self, wire: Wire, terms: Terms, handlers: Handlers, guest: Guest) -> None:
        self._wire = wire
        self._terms = terms
        self._handlers = handlers
        self._guest = guest
        self._intake = handlers.open_intake(guest.association_id)
        self._outlines = OutlineReader(is_admitting=True)
        self._messages = Messages(wire, terms.contexts, terms.pace)

    def hold(self) -> None:
        """Return when the peer asks for release; raises AssociationBroken for any other end."""
        try:
            while (command := self._next_command()) is not None:
                request = decode_request(*command)
                if request.field == Command.C_CANCEL_RQ:
                    continue  # no service here can be cancelled
                answer = self._answer(request)
                response = encode_response(request, answer.status, answer.comment)
                self._wire.send(encode_command_pdus(request.context_id, response, self._terms.longest_pdu_bytes))
                self._intake.place()
        finally:
            self._intake.close()

    def _next_command(self) -> CommandSet | None:
        """Return the next command; unless it is there already, make what the ones before have left for later."""
        if self._intake.is_following and (self._intake.is_full or not self._messages.has_more(0.0)):
            self._intake.settle()
        return self._messages.next_command()

    def _answer(self, request: Request) -> Answer:
        if request.field == Command.C_STORE_RQ:
            return self._store(request)
        if request.field == Command.C_ECHO_RQ and not request.has_data_set:
            is_in_place = self._terms.contexts[request.context_id].abstract_syntax == VERIFICATION
            return Answer(StoreStatus.SUCCESS if is_in_place else StoreStatus.SOP_CLASS_NOT_SUPPORTED)
        if request.field in {Command.N_ACTION_RQ, Command.N_EVENT_REPORT_RQ}:
            return self._commit(request)
        expected = "expected C-ECHO, C-STORE, N-ACTION or N-EVENT-REPORT"
        raise ProtocolViolation(f"request {request.field:#06x}, {expected}", AbortReason.NOT_SPECIFIED)

    def _store(self, request: Request) -> Answer:
        """Take the data set to its end, whatever becomes of it, and only then answer."""
        context = self._terms.contexts[request.context_id]
        incoming = self._handlers.begin_store(request, context, self._outlines)
        try:
            if request.has_data_set:
                for fragment in self._messages.data_set(request.context_id):
                    incoming.write(fragment)
            return self._handlers.finish_store(incoming, self._intake, self._guest.association_id)
        finally:
            incoming.discard()

    def _commit(self, request: Request) -> Answer:
        """Take what storage commitment says to its end, and only then answer."""
        incoming = IncomingInformation()
        if request.has_data_set:
            for fragment in self._messages.data_set(request.context_id):
                incoming.write(fragment)
        context = self._terms.contexts[request.context_id]
        return self._handlers.finish_commitment(request, context, incoming, self._guest)
