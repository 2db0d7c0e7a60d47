"""PDUs of the upper layer (PS3.8 9.3): their types, the short ones, and what a wrong one is answered with."""

from __future__ import annotations

import struct
from enum import IntEnum

from node.errors import ProtocolViolation

# Type and length of what follows; the second byte is reserved.
HEADER = struct.Struct(">BxI")
MAXIMUM_PDU_BYTES = 256 * 1024
# An association request may be longer than what we accept of data: 128 contexts, each with every syntax.
LARGEST_REQUEST_BYTES = 1024 * 1024
PDV_HEADER = struct.Struct(">IBB")

_PROVIDER = 2
IS_COMMAND, IS_LAST = 0x01, 0x02


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
_WITHIN_ASSOCIATION = frozenset((PduType.DATA, PduType.RELEASE_RQ, PduType.ABORT))


def encode_pdu(kind: PduType, body: bytes) -> bytes:
    """Return a whole PDU."""
    return HEADER.pack(kind, len(body)) + body


def encode_abort(reason: int) -> bytes:
    """Return an A-ABORT of the service provider (PS3.8 9.3.8)."""
    return encode_pdu(PduType.ABORT, bytes((0, 0, _PROVIDER, reason)))


def encode_rejection(code: tuple[int, int, int]) -> bytes:
    """Return an A-ASSOCIATE-RJ of result, source and reason (PS3.8 9.3.4)."""
    return encode_pdu(PduType.ASSOCIATE_RJ, bytes((0, *code)))


def encode_release_response() -> bytes:
    """Return an A-RELEASE-RP (PS3.8 9.3.7)."""
    return encode_pdu(PduType.RELEASE_RP, bytes(4))


def encode_command_pdus(context_id: int, command: bytes, longest_pdu_bytes: int) -> bytes:
    """Return a command set as P-DATA-TF PDUs, none longer than the peer takes; 0 takes any (PS3.8 9.3.5, E.2)."""
    room = (longest_pdu_bytes or MAXIMUM_PDU_BYTES) - PDV_HEADER.size
    pdus = []
    for start in range(0, len(command), room):
        fragment = command[start : start + room]
        control = IS_COMMAND | (IS_LAST if start + room >= len(command) else 0)
        header = PDV_HEADER.pack(len(fragment) + 2, context_id, control)
        pdus.append(encode_pdu(PduType.DATA, header + fragment))
    return b"".join(pdus)


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


def judge_header(kind: int, length: int) -> None:
    """Raise ProtocolViolation for the header of a PDU that an established association cannot bring."""
    if kind not in _KNOWN:
        raise ProtocolViolation("PDU of an unknown type", AbortReason.UNRECOGNISED_PDU)
    if kind not in _WITHIN_ASSOCIATION:
        raise ProtocolViolation(f"PDU of type {kind} within an association", AbortReason.UNEXPECTED_PDU)
    if length > MAXIMUM_PDU_BYTES:
        raise ProtocolViolation(
            f"PDU of {length} bytes, expected {MAXIMUM_PDU_BYTES} at most", AbortReason.INVALID_PARAMETER
        )
