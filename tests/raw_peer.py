"""A peer made of bytes: it says over a bare socket what no honest one would, and reads what comes back."""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION, N_EVENT_REPORT
from pynetdicom.dsutils import encode
from receiving import request_of
from waiting import PATIENCE_SECONDS

from node.commitment.information import encode_request
from node.vocabulary import CommitmentRequest, InstanceReference

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
ACTION_INFORMATION = encode_request(CommitmentRequest("1.2.77", (InstanceReference(CT_CLASS, "1.44"),)), IMPLICIT)


def pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BxI", kind, len(body)) + body


def item(kind: int, value: bytes | str) -> bytes:
    encoded = value.encode() if isinstance(value, str) else value
    return struct.pack(">BxH", kind, len(encoded)) + encoded


def context(number: int, abstract: str, *transfer: str) -> bytes:
    items = item(0x30, abstract) + b"".join(item(0x40, syntax) for syntax in transfer)
    return item(0x20, bytes((number, 0, 0, 0)) + items)


def request(
    *contexts: bytes,
    version: int = 1,
    calling: bytes = b"MODALITY",
    called: bytes = b"RADNODE",
    application: str = APPLICATION_CONTEXT,
    longest_pdu: int = 16384,
    roles: tuple[bytes, ...] = (),
) -> bytes:
    """Return an A-ASSOCIATE-RQ."""
    fixed = struct.pack(">HH", version, 0) + called.ljust(16) + calling.ljust(16) + bytes(32)
    user = item(0x50, item(0x51, struct.pack(">I", longest_pdu)) + item(0x52, "1.2.3") + b"".join(roles))
    return pdu(1, fixed + item(0x10, application) + b"".join(contexts) + user)


def pdv(context_id: int, control: int, content: bytes = b"") -> bytes:
    return struct.pack(">IBB", len(content) + 2, context_id, control) + content


def data(*pdvs: bytes) -> bytes:
    return pdu(4, b"".join(pdvs))


def echo_command(message_id: int = 1) -> bytes:
    echo = C_ECHO()
    echo.MessageID, echo.AffectedSOPClassUID = message_id, VERIFICATION
    message = C_ECHO_RQ()
    message.primitive_to_message(echo)
    return encode(message.command_set, True, True) or b""


def store_command(announced: C_STORE) -> bytes:
    message = C_STORE_RQ()
    message.primitive_to_message(announced)
    return encode(message.command_set, True, True) or b""


def store(path: Path, **changes: str) -> bytes:
    """Return the command set of a request to store a file, which may say something else than the file."""
    return store_command(request_of(path, **changes))


def element(group: int, number: int, representation: bytes, value: bytes) -> bytes:
    """Return a data element in Explicit VR Little Endian."""
    return struct.pack("<HH2sH", group, number, representation, len(value)) + value


def tiny_data_set(uid: bytes = b"1.44") -> bytes:
    """Return the shortest data set that is kept."""
    return (
        element(0x0008, 0x0016, b"UI", CT_CLASS.encode() + b"\0" * (len(CT_CLASS) % 2))
        + element(0x0008, 0x0018, b"UI", uid)
        + element(0x0020, 0x000D, b"UI", b"1.22")
        + element(0x0020, 0x000E, b"UI", b"1.33")
    )


def tiny_command(uid: str = "1.44") -> bytes:
    """Return the command set that announces it."""
    announced = C_STORE()
    announced.MessageID, announced.Priority = 1, 0
    announced.AffectedSOPClassUID, announced.AffectedSOPInstanceUID = CT_CLASS, uid
    announced.DataSet = BytesIO(tiny_data_set(uid.encode()))
    return store_command(announced)


def role(sop_class: str, is_scu: int, is_scp: int) -> bytes:
    """Return the proposal of both roles of a SOP class (PS3.7 D.3.3.4.1)."""
    return item(0x54, struct.pack(">H", len(sop_class)) + sop_class.encode() + bytes((is_scu, is_scp)))


def action_command(**changes: str | int) -> bytes:
    """Return the command set of an N-ACTION that asks for storage commitment, or what the changes make of it."""
    action = N_ACTION()
    action.MessageID, action.ActionTypeID = 1, 1
    action.RequestedSOPClassUID, action.RequestedSOPInstanceUID = COMMITMENT, COMMITMENT_INSTANCE
    action.ActionInformation = BytesIO(ACTION_INFORMATION)
    return _encode_command(N_ACTION_RQ(), action, changes)


def event_command(**changes: str | int) -> bytes:
    """Return the command set of an N-EVENT-REPORT of storage commitment, or what the changes make of it."""
    event = N_EVENT_REPORT()
    event.MessageID, event.EventTypeID = 1, 1
    event.AffectedSOPClassUID, event.AffectedSOPInstanceUID = COMMITMENT, COMMITMENT_INSTANCE
    event.EventInformation = BytesIO(ACTION_INFORMATION)
    return _encode_command(N_EVENT_REPORT_RQ(), event, changes)


def _encode_command(message: Any, primitive: Any, changes: dict[str, str | int]) -> bytes:
    for keyword, value in changes.items():
        setattr(primitive, keyword, value)
    message.primitive_to_message(primitive)
    return encode(message.command_set, True, True) or b""


CONTEXTS = (
    context(1, VERIFICATION, IMPLICIT),
    context(3, CT_CLASS, EXPLICIT),
    context(5, "1.2.3", IMPLICIT),
    context(7, COMMITMENT, IMPLICIT),
)
COMMITMENT_ROLES = role(COMMITMENT, 1, 0)
PROPOSAL = request(*CONTEXTS)
ECHO = data(pdv(1, 3, echo_command()))


def tiny_store_command(uid: str) -> bytes:
    """Return the PDU that announces the shortest data set, in the context of CT images."""
    return data(pdv(3, 3, tiny_command(uid)))


def tiny_store(uid: str) -> bytes:
    """Return the PDUs of a whole request to store it."""
    return tiny_store_command(uid) + data(pdv(3, 2, tiny_data_set(uid.encode())))


RELEASE = pdu(5, bytes(4))
ABORT = pdu(7, bytes(4))


@dataclass
class RawPeer:
    """A connection to the node."""

    connection: socket.socket

    @classmethod
    def connect(cls, port: int) -> RawPeer:
        return cls(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))

    def __enter__(self) -> RawPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def say(self, *pieces: bytes) -> RawPeer:
        self.connection.sendall(b"".join(pieces))
        return self

    def trickle(self, pieces: Iterable[bytes]) -> RawPeer:
        """Say one piece after the other, 20 ms apart, until anything comes back, which must be before the last."""
        for piece in pieces:
            if select.select([self.connection], [], [], 0.02)[0]:
                return self
            self.say(piece)
        raise AssertionError("nobody minded")

    def hear(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU, or (0, b"") when the connection is closed."""
        header = self._read(6)
        if len(header) < 6:
            return 0, b""
        kind, length = struct.unpack(">BxI", header)
        return kind, self._read(length)

    def status(self) -> int:
        """Return the status of the response that comes next."""
        kind, body = self.hear()
        assert kind == 4, (kind, body)
        return int.from_bytes(body[6 + body[6:].index(b"\x00\x00\x00\x09\x02\x00\x00\x00") + 8 :][:2], "little")

    def abort_reason(self) -> tuple[int, int]:
        """Return source and reason of the A-ABORT that comes next, after which the connection is closed."""
        kind, body = self.hear()
        assert kind == 7, (kind, body)
        assert self.hear() == (0, b"")
        return body[2], body[3]

    def _read(self, length: int) -> bytes:
        received = b""
        while len(received) < length:
            try:
                piece = self.connection.recv(length - len(received))
            except ConnectionResetError:
                break
            if not piece:
                break
            received += piece
        return received
