"""PDUs of the upper layer (PS3.8 9.3): their types, the short ones, P-DATA, and what a wrong one is answered with."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from enum import IntEnum
from io import BytesIO
from typing import NamedTuple, Protocol

from node.errors import ProtocolViolation

# Type and length of what follows; the second byte is reserved.
HEADER = struct.Struct(">BxI")
MAXIMUM_PDU_BYTES = 256 * 1024
# An association request may be longer than what we accept of data: 128 contexts, each with every syntax.
LARGEST_REQUEST_BYTES = 1024 * 1024
PDV_HEADER = struct.Struct(">IBB")

IS_COMMAND, IS_LAST = 0x01, 0x02

_USER, _PROVIDER = 0, 2
# As much of a data set as is handed to the connection at once.
_CHUNK_BYTES = 128 * 1024
_HEADERS_BYTES = HEADER.size + PDV_HEADER.size


class Readable(Protocol):
    """What a data set is read from; it gives less than it is asked for only where it ends."""

    def readinto(self, buffer: memoryview, /) -> int | None:
        """Fill the buffer and return how many bytes that took."""


class OutgoingDataSet(NamedTuple):
    """An encoded data set of so many bytes, which lies ahead in a file."""

    content: Readable
    length: int

    @classmethod
    def of(cls, encoded: bytes) -> OutgoingDataSet:
        """Return one that is in memory."""
        return cls(BytesIO(encoded), len(encoded))


class PduType(IntEnum):
    """The PDU types of PS3.8 9.3.1."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class AbortReason(IntEnum):
    """Why the service provider aborts (PS3.8 Table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNISED_PDU = 1
    UNEXPECTED_PDU = 2
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


_KNOWN = frozenset(PduType)
WITHIN_ASSOCIATION = frozenset((PduType.DATA, PduType.RELEASE_RQ, PduType.ABORT))


def encode_pdu(kind: PduType, body: bytes) -> bytes:
    """Return a whole PDU."""
    return HEADER.pack(kind, len(body)) + body


def encode_abort(reason: int) -> bytes:
    """Return an A-ABORT of the service provider (PS3.8 9.3.8)."""
    return encode_pdu(PduType.ABORT, bytes((0, 0, _PROVIDER, reason)))


def encode_abort_by_user() -> bytes:
    """Return an A-ABORT of who uses the service (PS3.8 9.3.8)."""
    return encode_pdu(PduType.ABORT, bytes((0, 0, _USER, 0)))


def encode_rejection(code: tuple[int, int, int]) -> bytes:
    """Return an A-ASSOCIATE-RJ of result, source and reason (PS3.8 9.3.4)."""
    return encode_pdu(PduType.ASSOCIATE_RJ, bytes((0, *code)))


def encode_release_request() -> bytes:
    """Return an A-RELEASE-RQ (PS3.8 9.3.6)."""
    return encode_pdu(PduType.RELEASE_RQ, bytes(4))


def encode_release_response() -> bytes:
    """Return an A-RELEASE-RP (PS3.8 9.3.7)."""
    return encode_pdu(PduType.RELEASE_RP, bytes(4))


def encode_command_pdus(context_id: int, command: bytes, longest_pdu_bytes: int) -> bytes:
    """Return a command set as P-DATA-TF PDUs, none longer than the peer takes; 0 takes any (PS3.8 9.3.5, E.2)."""
    room = _room_in(longest_pdu_bytes)
    pdus = []
    for start in range(0, len(command), room):
        fragment = command[start : start + room]
        control = IS_COMMAND | (IS_LAST if start + room >= len(command) else 0)
        header = PDV_HEADER.pack(len(fragment) + 2, context_id, control)
        pdus.append(encode_pdu(PduType.DATA, header + fragment))
    return b"".join(pdus)


def encode_data_set_pdus(
    context_id: int, data_set: OutgoingDataSet, longest_pdu_bytes: int
) -> Iterator[memoryview]:
    """Give a data set as P-DATA-TF PDUs (PS3.8 9.3.5, E.2), several at once, overwritten by the next.

    Raises EOFError where its file ends early.
    """
    room, left = _room_in(longest_pdu_bytes), data_set.length
    buffer = memoryview(bytearray(max(_CHUNK_BYTES, _HEADERS_BYTES + room)))
    end = 0
    while left:
        length = min(room, left)
        left -= length
        HEADER.pack_into(buffer, end, PduType.DATA, PDV_HEADER.size + length)
        PDV_HEADER.pack_into(buffer, end + HEADER.size, 2 + length, context_id, 0 if left else IS_LAST)
        fragment = buffer[end + _HEADERS_BYTES : end + _HEADERS_BYTES + length]
        if data_set.content.readinto(fragment) != length:
            raise EOFError(f"found the end of the file, expected {left + length} more bytes of its data set")
        end += _HEADERS_BYTES + length
        if not left or end + _HEADERS_BYTES + room > len(buffer):
            yield buffer[:end]
            end = 0


def judge_first_header(header: bytes | bytearray) -> int:
    """Return the length of the A-ASSOCIATE-RQ that must come first; raises ProtocolViolation for anything else."""
    kind, length = HEADER.unpack(header)
    if kind != PduType.ASSOCIATE_RQ:
        raise ProtocolViolation("the first bytes are no association request", AbortReason.UNEXPECTED_PDU)
    if length > LARGEST_REQUEST_BYTES:
        raise ProtocolViolation(
            f"association request of {length} bytes, expected {LARGEST_REQUEST_BYTES} at most",
            AbortReason.INVALID_PARAMETER,
        )
    return int(length)


def judge_header(kind: int, length: int, expected: Collection[int] = WITHIN_ASSOCIATION) -> None:
    """Raise ProtocolViolation for the header of a PDU that is too long, or of no kind that may come now."""
    if kind not in _KNOWN:
        raise ProtocolViolation("PDU of an unknown type", AbortReason.UNRECOGNISED_PDU)
    if kind not in expected:
        raise ProtocolViolation(f"PDU of type {kind}, which may not come now", AbortReason.UNEXPECTED_PDU)
    if length > MAXIMUM_PDU_BYTES:
        raise ProtocolViolation(
            f"PDU of {length} bytes, expected {MAXIMUM_PDU_BYTES} at most", AbortReason.INVALID_PARAMETER
        )


def _room_in(longest_pdu_bytes: int) -> int:
    """Return how much of a message fits into a PDU: an even number of bytes, as PS3.8 E.2 has it, where it can be."""
    room = min(longest_pdu_bytes or MAXIMUM_PDU_BYTES, MAXIMUM_PDU_BYTES) - PDV_HEADER.size
    return max(room - room % 2, 1)
