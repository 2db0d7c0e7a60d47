"""A peer that accepts one association and then does what a script says, over a bare socket."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from pynetdicom.dimse_messages import C_ECHO_RSP, C_STORE_RSP, N_ACTION_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION
from pynetdicom.dsutils import encode
from raw_peer import APPLICATION_CONTEXT, COMMITMENT, EXPLICIT, RawPeer, item, pdu
from waiting import PATIENCE_SECONDS

from node.vocabulary import PeerAddress

Script = Callable[[RawPeer], None]
_RESPONSES = {C_ECHO: C_ECHO_RSP, C_STORE: C_STORE_RSP, N_ACTION: N_ACTION_RSP}


@dataclass
class Scripted:
    """What is known of the peer: where it is, and how each PDU that it got began, with its body."""

    address: PeerAddress
    heard: list[tuple[int, bytes]] = field(default_factory=list)


@contextmanager
def scripted(answer: bytes, script: Script = lambda _peer: None) -> Iterator[Scripted]:
    """Run a peer that answers the proposal with these bytes and plays the script; it must have ended well."""
    failures: list[BaseException] = []

    def serve() -> None:
        try:
            connection, _ = server.accept()
            connection.settimeout(PATIENCE_SECONDS)
            with RawPeer(connection) as peer:
                known.heard.append(peer.hear())
                peer.say(answer)
                script(peer)
        except BaseException as error:  # noqa: BLE001 - raised by the test's own thread
            failures.append(error)

    with socket.create_server(("127.0.0.1", 0)) as server:
        known = Scripted(PeerAddress("PACS", "127.0.0.1", server.getsockname()[1]))
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield known
        finally:
            thread.join(PATIENCE_SECONDS)
    assert not failures, failures


def answered(number: int, result: int = 0, syntax: str = EXPLICIT) -> bytes:
    return item(0x21, bytes((number, 0, result, 0)) + item(0x40, syntax))


def acceptance(*contexts: bytes, longest_pdu: int = 16384) -> bytes:
    """Return an A-ASSOCIATE-AC."""
    fixed = struct.pack(">HH", 1, 0) + b"PACS".ljust(16) + b"RADNODE".ljust(16) + bytes(32)
    user = item(0x50, item(0x51, struct.pack(">I", longest_pdu)) + item(0x52, "1.2.3") + item(0x55, "ACME 1"))
    return pdu(2, fixed + item(0x10, APPLICATION_CONTEXT) + b"".join(contexts) + user)


def response(primitive: C_ECHO | C_STORE | N_ACTION, message_id: int = 1, status: int = 0) -> bytes:
    """Return the command set of a response, as pynetdicom writes it."""
    primitive.MessageIDBeingRespondedTo, primitive.Status = message_id, status
    if isinstance(primitive, N_ACTION):
        primitive.AffectedSOPClassUID, primitive.ActionTypeID = COMMITMENT, 1
    message = _RESPONSES[type(primitive)]()
    message.primitive_to_message(primitive)
    return encode(message.command_set, True, True) or b""


def hear_message(peer: RawPeer) -> tuple[bytes, bytes, list[int]]:
    """Return a command set, its data set, and the lengths of the PDUs that they came in."""
    streams = {1: b"", 0: b""}
    lengths = []
    while True:
        kind, body = peer.hear()
        assert kind == 4, (kind, body)
        lengths.append(len(body))
        length, _, control = struct.unpack_from(">IBB", body)
        assert length + 4 == len(body)
        streams[control & 1] += body[6:]
        if control == 2 or (control == 3 and b"\x00\x08\x02\x00\x00\x00\x01\x01" in streams[1]):
            return streams[1], streams[0], lengths
