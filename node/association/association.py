"""One association, served by one thread: negotiated, its requests answered, and ended one way or another."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from node.association.allowlist import Caller, Rejection
from node.association.conversation import Conversation, Terms
from node.association.doorkeeper import Doorkeeper
from node.association.handlers import Guest, Handlers
from node.association.negotiation import AnsweredContext, answer_contexts, encode_acceptance, judge_proposal
from node.association.pending import Arrival
from node.association.proposal import Proposal, decode_proposal
from node.errors import AssociationBroken, ConnectionLost, PeerAborted, ProtocolViolation
from node.logs import log_failure
from node.upper_layer.messages import Pace
from node.upper_layer.pdu import AbortReason, encode_abort, encode_rejection, encode_release_response
from node.upper_layer.wire import Wire

logger = logging.getLogger("radnode.association")


@dataclass(frozen=True)
class Reception:
    """What every association of a listener needs.

    Who may come in, who serves requests, who takes the connection in the end, what is accepted and how slow
    a peer may be.
    """

    doorkeeper: Doorkeeper
    handlers: Handlers
    see_off: Callable[[socket.socket, str], None]
    contexts: Mapping[str, Sequence[str]]
    idle_seconds: float
    pace: Pace


@dataclass(frozen=True)
class _Ending:
    """How an association ended, in the index's words, and the last PDU to the peer."""

    how: str
    last_words: bytes = b""


class Association:
    """The acceptor's side of an association; the peer's request is all there is at first."""

    def __init__(self, arrival: Arrival, reception: Reception, note_end: Callable[[Association], None]) -> None:
        """Say `note_end` when its thread, which `start` starts, is done."""
        self._arrival = arrival
        self._reception = reception
        self._note_end = note_end
        self._wire = Wire(arrival.connection, reception.idle_seconds)
        self._is_abandoned = False
        self._thread = threading.Thread(target=self._run, name="association", daemon=True)

    def start(self) -> None:
        """Serve the association in a thread of its own."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end; return whether it came."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def abandon(self, patience_seconds: float) -> None:
        """Abort, but not while an answer is being made; break the connection off if that takes too long."""
        self._is_abandoned = True
        self._wire.interrupt()
        if not self.join(patience_seconds):
            self._wire.cut()
            self.join(patience_seconds)

    def _run(self) -> None:
        try:
            self._answer_proposal(decode_proposal(self._arrival.request))
        except ProtocolViolation as error:
            self._part(encode_abort(error.reason))
        except Exception as error:  # noqa: BLE001 - what fails here ends one association and nothing else
            log_failure(logger, "association failed", error)
            self._part(encode_abort(AbortReason.NOT_SPECIFIED))
        finally:
            self._note_end(self)

    def _answer_proposal(self, proposal: Proposal) -> None:
        caller = Caller(
            calling_ae_title=proposal.calling_ae_title,
            called_ae_title=proposal.called_ae_title,
            address=self._arrival.address,
            certificate=self._arrival.certificate,
        )
        rejection = judge_proposal(proposal) or self._reception.doorkeeper.admit(caller)
        if rejection is not None:
            self._reject(caller, rejection)
            return
        association_id = self._reception.handlers.open_association(caller)
        if association_id is None:
            self._reception.doorkeeper.dismiss(caller)
            self._reject(caller, Rejection.NOT_RECORDED)
            return
        ending = self._serve_to_the_end(proposal, Guest(association_id, caller.calling_ae_title))
        self._reception.doorkeeper.dismiss(caller)  # before the peer knows and comes again
        self._part(ending.last_words)
        self._reception.handlers.close_association(association_id, ending.how)

    def _reject(self, caller: Caller, rejection: Rejection) -> None:
        self._part(encode_rejection(rejection.code))
        self._reception.handlers.record_rejection(caller, rejection)

    def _serve_to_the_end(self, proposal: Proposal, guest: Guest) -> _Ending:
        try:
            contexts = answer_contexts(proposal, self._reception.contexts)
            self._wire.send(encode_acceptance(proposal, contexts))
            self._conversation(proposal, contexts, guest).hold()
        except PeerAborted:
            return _Ending("aborted")
        except ConnectionLost:
            if self._is_abandoned:
                return _Ending("aborted", encode_abort(AbortReason.NOT_SPECIFIED))
            return _Ending("connection lost")
        except AssociationBroken as error:
            self._reception.handlers.note_abort(guest.association_id, error)
            reason = error.reason if isinstance(error, ProtocolViolation) else AbortReason.NOT_SPECIFIED
            return _Ending("aborted", encode_abort(reason))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends one association and nothing else
            log_failure(logger, "association failed", error, association=guest.association_id)
            return _Ending("aborted", encode_abort(AbortReason.NOT_SPECIFIED))
        return _Ending("released", encode_release_response())

    def _conversation(
        self, proposal: Proposal, contexts: Sequence[AnsweredContext], guest: Guest
    ) -> Conversation:
        accepted = {context.context_id: context for context in contexts if context.is_accepted}
        terms = Terms(accepted, proposal.longest_pdu_bytes, self._reception.pace)
        return Conversation(self._wire, terms, self._reception.handlers, guest)

    def _part(self, last_words: bytes) -> None:
        """Say the last words, if there are any, and leave it to others to wait until the peer closes."""
        self._wire.send_last(last_words)
        self._reception.see_off(self._arrival.connection, self._arrival.address)
