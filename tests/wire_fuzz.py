"""Byte streams that no test writer would think of, and all that a receiver may make of them."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from raw_peer import (
    ABORT,
    ACTION_INFORMATION,
    COMMITMENT_ROLES,
    CONTEXTS,
    ECHO,
    PROPOSAL,
    RELEASE,
    action_command,
    data,
    echo_command,
    event_command,
    pdu,
    pdv,
    request,
    tiny_command,
    tiny_data_set,
)

from node.archive import Archive
from node.archive.journal import Journal, JournalSize
from node.association.allowlist import Caller
from node.association.commitment import CommitmentService
from node.association.contexts import supported_contexts
from node.association.conversation import Conversation, Terms
from node.association.handlers import Guest, Handlers
from node.association.negotiation import answer_contexts, encode_acceptance, judge_proposal
from node.association.proposal import decode_proposal
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.requests import RequestBook
from node.database import Database
from node.errors import AssociationBroken, ConnectionLost, ProtocolViolation
from node.peers import Peer
from node.settings import Settings
from node.studies.index import InstanceIndex
from node.upper_layer.messages import Pace
from node.upper_layer.pdu import HEADER, WITHIN_ASSOCIATION, judge_first_header
from node.upper_layer.wire import Wire

_INTERESTING = (b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\0\4\0\0", b"\4")
_MOST_PIECES = 12
_LONGEST_STREAM_BYTES = 256 * 1024


ECHO_COMMAND, STORE_COMMAND, INSTANCE = echo_command(), tiny_command(), tiny_data_set()
STORE = data(pdv(3, 3, STORE_COMMAND))
DATA_SET = data(pdv(3, 2, INSTANCE))
ACTION_COMMAND, EVENT_COMMAND = action_command(), event_command()
COMMIT, REPORT = data(pdv(7, 3, ACTION_COMMAND)), data(pdv(7, 3, EVENT_COMMAND))
INFORMATION = data(pdv(7, 2, ACTION_INFORMATION))
_WHOLE = (STORE_COMMAND, INSTANCE, ECHO_COMMAND, ACTION_COMMAND, EVENT_COMMAND, ACTION_INFORMATION)


def make_stream(chance: random.Random) -> bytes:
    """Return what a hostile peer says within an association."""
    pieces = [chance.choice(_PIECES)(chance) for _ in range(chance.randint(1, _MOST_PIECES))]
    return _mutate(chance, b"".join(pieces))[:_LONGEST_STREAM_BYTES]


def make_proposal(chance: random.Random) -> bytes:
    """Return what a hostile peer says first."""
    contexts = [chance.choice(CONTEXTS) for _ in range(chance.randint(0, 4))]
    some = request(*contexts, longest_pdu=chance.randint(0, 20), roles=(COMMITMENT_ROLES,))
    return _mutate(chance, chance.choice((PROPOSAL, some)))


def _random_pdv(chance: random.Random) -> bytes:
    content = chance.choice((*_WHOLE, chance.randbytes(chance.randint(0, 40))))
    cut = chance.randint(0, len(content))
    return pdv(chance.choice((1, 3, 3, 3, 5, 7, 7, 99)), chance.randint(0, 3), content[:cut])


_PIECES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda _: ECHO,
    lambda _: ECHO,
    lambda _: STORE,
    lambda _: STORE + data(pdv(3, 2, INSTANCE[:-1])),
    lambda _: DATA_SET,
    lambda _: COMMIT,
    lambda _: COMMIT + INFORMATION,
    lambda _: REPORT + INFORMATION,
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


class Tape(socket.socket):
    """A socket whose peer has said everything already, and whose other side nobody waits for."""

    def __init__(self, stream: bytes) -> None:
        super().__init__()
        self._left = memoryview(stream)
        self.answered = bytearray()

    def recv_into(self, buffer: Any, *_: int) -> int:
        piece = self._left[: len(buffer)]
        buffer[: len(piece)] = piece
        self._left = self._left[len(piece) :]
        return len(piece)

    def send(self, data: Any, *_: int) -> int:
        self.answered += data
        return len(data)


class CountingWire(Wire):
    """A wire that counts the PDUs it was asked for."""

    pdus = 0

    def next_pdu(self, expected: Collection[int] = WITHIN_ASSOCIATION) -> tuple[int, memoryview]:
        self.pdus += 1
        return super().next_pdu(expected)


class FuzzedReceiver:
    """The part of a node that reads the wire, with a real archive and a real index behind it."""

    def __init__(self, root: Path) -> None:
        self.incoming = root / "archive" / "incoming"
        database = Database(root / "node.db")
        database.migrate()
        clock, known = SystemClock(), Settings(peers={"FUZZ": Peer(ae_title="FUZZ", host="127.0.0.1", port=104)})
        journal = Journal(root / "archive", clock.boot_id, database.sync, JournalSize.of(8))
        archive = Archive(root / "archive", durability=journal)
        journal.replay(archive.put_back)
        journal.start()
        self._handlers = Handlers(
            archive,
            InstanceIndex(database, clock, flushes_instances=False),
            1_000_000,
            CommitmentService(RequestBook(database, known, clock), Pledges(database, known.delivery, clock)),
        )
        association_id = self._handlers.open_association(Caller("FUZZ", "RADNODE", "127.0.0.1"))
        assert association_id is not None
        self._guest = Guest(association_id, "FUZZ")
        proposal = decode_proposal(PROPOSAL[HEADER.size :])
        contexts = answer_contexts(proposal, supported_contexts())
        accepted = {context.context_id: context for context in contexts if context.is_accepted}
        self._terms = Terms(accepted, proposal.longest_pdu_bytes, Pace())

    def take(self, stream: bytes) -> int:
        """Take a stream to its end and return how many PDUs were judged, those that were cut short left out.

        Raises whatever an association must not raise, and AssertionError.
        """
        with Tape(stream) as tape:
            wire = CountingWire(tape, patience_seconds=10.0)
            judged = 0
            try:
                Conversation(wire, self._terms, self._handlers, self._guest).hold()
                judged = wire.pdus
            except AssociationBroken as end:
                judged = wire.pdus - isinstance(end, ConnectionLost)
            _check_answers(tape.answered, stream)
        assert not list(self.incoming.iterdir())
        return judged


def _check_answers(answered: bytes, stream: bytes) -> None:
    """Every answer is a whole command set with a status, and there are not more than requests."""
    answers = at = 0
    while at < len(answered):
        kind, length = HEADER.unpack_from(answered, at)
        body = answered[at + HEADER.size : at + HEADER.size + length]
        assert len(body) == length
        assert kind == 4
        assert body[5] == 3
        assert struct.unpack_from("<HHI", body, 6) == (0, 0, 4)
        at += HEADER.size + length
        answers += 1
    assert answers <= stream.count(b"\0\0\0\1\2\0\0\0")  # the headers of Command Field


def take_proposal(first_pdu: bytes) -> int:
    """Answer a first PDU as the node would and return 1, for one PDU; raises whatever it must not raise."""
    try:
        length = judge_first_header(first_pdu[: HEADER.size].ljust(HEADER.size))
        proposal = decode_proposal(first_pdu[HEADER.size :][:length])
    except ProtocolViolation:
        return 1
    judge_proposal(proposal)
    answered = encode_acceptance(proposal, answer_contexts(proposal, supported_contexts()))
    assert len(answered) == HEADER.size + HEADER.unpack_from(answered)[1]
    return 1
