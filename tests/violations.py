"""Everything a peer can do within an association that the upper layer protocol does not allow."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from dcmtk import data_set_bytes
from raw_peer import PROPOSAL, RELEASE, data, echo_command, pdu, pdv, store

# What is said, given a file to store, and the reason of the A-ABORT it is answered with (PS3.8 Table 9-26).
COMMAND_TOO_LARGE = data(pdv(1, 1, bytes(60_000))) + data(pdv(1, 1, bytes(60_000)))
VIOLATIONS: dict[str, tuple[Callable[[Path], bytes], int]] = {
    "unknown type": (lambda _: pdu(9, b""), 1),
    "type 0": (lambda _: pdu(0, b""), 1),
    "second request": (lambda _: PROPOSAL, 2),
    "acceptance": (lambda _: pdu(2, bytes(68)), 2),
    "rejection": (lambda _: pdu(3, bytes(4)), 2),
    "release response": (lambda _: pdu(6, bytes(4)), 2),
    "longer than advertised": (lambda _: pdu(4, b"")[:2] + struct.pack(">I", 256 * 1024 + 1), 6),
    "of 4 GiB": (lambda _: b"\x04\0\xff\xff\xff\xff", 6),
    "without a PDV": (lambda _: data(), 6),
    "half a PDV header": (lambda _: data(b"\0\0\0"), 6),
    "PDV without control header": (lambda _: data(struct.pack(">IB", 1, 1)), 6),
    "PDV of length 1": (lambda _: data(struct.pack(">IBB", 1, 1, 3)), 6),
    "PDV longer than its PDU": (lambda _: data(struct.pack(">IBB", 9 + len(echo_command()), 1, 3) + echo_command()), 6),
    "PDV of 4 GiB": (lambda _: data(struct.pack(">IBB", 0xFFFFFFFF, 1, 3)), 6),
    "unknown context": (lambda _: data(pdv(99, 3, echo_command())), 6),
    "context not accepted": (lambda _: data(pdv(5, 3, echo_command())), 6),
    "data before command": (lambda ct: data(pdv(3, 2, data_set_bytes(ct)[:100])), 5),
    "command in the data set": (lambda ct: data(pdv(3, 3, store(ct)), pdv(3, 0, b"x"), pdv(3, 1, b"")), 5),
    "two contexts in one command": (lambda ct: data(pdv(3, 1, store(ct)[:20]), pdv(1, 3, store(ct)[20:])), 5),
    "two contexts in one message": (lambda ct: data(pdv(3, 3, store(ct)), pdv(1, 2, data_set_bytes(ct)[:100])), 5),
    "command too large": (lambda _: COMMAND_TOO_LARGE, 6),
    "release within a message": (lambda ct: data(pdv(3, 3, store(ct))) + RELEASE, 2),
    "empty command": (lambda _: data(pdv(1, 3)), 6),
    "command cut short": (lambda _: data(pdv(1, 3, echo_command()[:-1])), 6),
    "command with half an element": (lambda _: data(pdv(1, 3, echo_command() + b"\0\0")), 6),
    "element twice": (lambda _: data(pdv(1, 3, echo_command() * 2)), 6),
    "element of another group": (lambda _: data(pdv(1, 3, echo_command() + struct.pack("<HHI", 8, 0, 0))), 6),
    "request nobody negotiated": (lambda _: data(pdv(1, 3, echo_command().replace(b"\x30\0", b"\x20\0"))), 0),
    "response nobody asked for": (lambda _: data(pdv(1, 3, echo_command().replace(b"\x30\0", b"\x30\x80"))), 0),
    "echo with a data set": (lambda _: data(pdv(1, 3, echo_command().replace(b"\x01\x01", b"\0\0"))), 0),
}
