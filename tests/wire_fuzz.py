"""Byte streams that no test writer would think of, and all that a receiver may make of them."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from raw_peer import (
    ABORT,
    CONTEXTS,
    ECHO,
    PROPOSAL,
    RELEASE,
    RawPeer,
    data,
    echo_command,
    pdu,
    pdv,
    request,
    tiny_command,
    tiny_data_set,
)

from node.archive import Archive
from node.association.allowlist import Caller
from node.association.contexts import supported_contexts
from node.association.conversation import Conversation, Terms
from node.association.handlers import Handlers
from node.association.messages import Pace
from node.association.negotiation import answer_contexts, encode_acceptance, judge_proposal
from node.association.pdu import HEADER, judge_first_header
from node.association.proposal import decode_proposal
from node.association.wire import Wire
from node.clock import SystemClock
from node.database import Database
from node.errors import AssociationBroken, ProtocolViolation
from node.studies.index import InstanceIndex

_INTERESTING = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\4\0\0", b"\4")
_MOST_PIECES = 12
_LONGEST_STREAM_BYTES = 256 * 1024


STORE = data(pdv(3, 3, tiny_command()))
DATA_SET = data(pdv(3, 2, tiny_data_set()))


def make_stream(chance: random.Random) -> tuple[bytes, int]:
    """Return what a hostile peer says within an association, and how many PDUs it is made of."""
    pieces = [chance.choice(_PIECES)(chance) for _ in range(chance.randint(1, _MOST_PIECES))]
    return _mutate(chance, b"".join(pieces))[:_LONGEST_STREAM_BYTES], len(pieces)


def make_proposal(chance: random.Random) -> bytes:
    """Return what a hostile peer says first."""
    contexts = [chance.choice(CONTEXTS) for _ in range(chance.randint(0, 4))]
    return _mutate(chance, chance.choice((PROPOSAL, request(*contexts, longest_pdu=chance.randint(0, 20)))))


def _random_pdv(chance: random.Random) -> bytes:
    content = chance.choice((tiny_command(), tiny_data_set(), echo_command(), chance.randbytes(chance.randint(0, 40))))
    cut = chance.randint(0, len(content))
    return pdv(chance.choice((1, 3, 3, 3, 5, 99)), chance.randint(0, 3), content[:cut])


_PIECES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda _: ECHO,
    lambda _: ECHO,
    lambda _: STORE,
    lambda _: STORE + data(pdv(3, 2, tiny_data_set()[:-1])),
    lambda _: DATA_SET,
    lambda _: RELEASE,
    lambda _: ABORT,
    lambda chance: data(*(_random_pdv(chance) for _ in range(chance.randint(0, 4)))),
    lambda chance: data(*(_random_pdv(chance) for _ in range(chance.randint(0, 4)))),
    lambda chance: pdu(chance.randint(0, 9), chance.randbytes(chance.randint(0, 60))),
    lambda chance: data(pdv(1, chance.randint(0, 1), bytes(chance.choice((0, 1, 30_000, 65_536))))),
)


def _mutate(chance: random.Random, stream: bytes) -> bytes:
    """Break what was well-formed in none to four places."""
    for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
        at = chance.randint(0, len(stream))
        end = min(len(stream), at + chance.choice((0, 1, 2, 4, 100)))
        instead = chance.choice((b"", chance.randbytes(1), chance.choice(_INTERESTING), stream[at:end] * 2))
        stream = stream[:at] + instead + stream[end:]
    return stream


class FuzzedReceiver:
    """The part of a node that reads the wire, with a real archive and a real index behind it."""

    def __init__(self, root: Path) -> None:
        self.incoming = root / "archive" / "incoming"
        database = Database(root / "node.db")
        database.migrate()
        self._handlers = Handlers(Archive(root / "archive"), InstanceIndex(database, SystemClock()), 1_000_000)
        association_id = self._handlers.open_association(Caller("FUZZ", "RADNODE", "127.0.0.1"))
        assert association_id is not None
        self._association_id = association_id
        proposal = decode_proposal(PROPOSAL[HEADER.size :])
        contexts = answer_contexts(proposal, supported_contexts())
        accepted = {context.context_id: context for context in contexts if context.is_accepted}
        self._terms = Terms(accepted, proposal.longest_pdu_bytes, Pace())
        self._listening = socket.create_server(("127.0.0.1", 0))

    def close(self) -> None:
        self._listening.close()

    def take(self, stream: bytes) -> None:
        """Take a stream to its end; raises whatever an association must not raise, and AssertionError."""
        with closing(socket.create_connection(self._listening.getsockname())) as peer:
            connection, _ = self._listening.accept()
            wire = Wire(connection, patience_seconds=10.0)
            peer.sendall(stream)
            peer.shutdown(socket.SHUT_WR)
            try:
                Conversation(wire, self._terms, self._handlers, self._association_id).hold()
            except AssociationBroken:
                pass
            finally:
                connection.close()
            self._check_answers(RawPeer(peer), stream)
        assert not list(self.incoming.iterdir())

    def _check_answers(self, peer: RawPeer, stream: bytes) -> None:
        """Every answer is a whole command set with a status, and there are not more than requests."""
        answers = 0
        while (answer := peer.hear()) != (0, b""):
            kind, body = answer
            assert kind == 4
            assert body[5] == 3
            assert struct.unpack_from("<HHI", body, 6) == (0, 0, 4)
            answers += 1
        assert answers <= stream.count(b"\0\0\0\1\2\0\0\0")  # the headers of Command Field


def take_proposal(first_pdu: bytes) -> None:
    """Answer a first PDU as the node would; raises whatever it must not raise."""
    try:
        length = judge_first_header(first_pdu[: HEADER.size].ljust(HEADER.size))
        proposal = decode_proposal(first_pdu[HEADER.size :][:length])
    except ProtocolViolation:
        return
    judge_proposal(proposal)
    answered = encode_acceptance(proposal, answer_contexts(proposal, supported_contexts()))
    assert len(answered) == HEADER.size + HEADER.unpack_from(answered)[1]


@contextmanager
def fuzzed_receiver(root: Path) -> Iterator[FuzzedReceiver]:
    receiver = FuzzedReceiver(root)
    try:
        yield receiver
    finally:
        receiver.close()
