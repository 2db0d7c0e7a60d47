"""Memory while one large instance comes in: what we hold does not depend on its size."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

import pytest
from raw_peer import PROPOSAL, RELEASE, RawPeer, data, pdv, tiny_command, tiny_data_set
from receiving import served

MIB = 1024 * 1024
PIECE = bytes(128 * 1024)


def peak_bytes(process_id: int) -> int:
    """Return the most memory that the process ever held in RAM."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def beginning(uid: bytes, pixel_bytes: int) -> bytes:
    """Return a data set (Explicit VR Little Endian) up to where its pixels begin."""
    return tiny_data_set(uid) + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, pixel_bytes)


def send_pixels(port: int, uid: bytes, pixel_bytes: int) -> int:
    """Store an instance of so many zeros and return the answer's status."""
    with RawPeer.connect(port) as peer:
        peer.connection.settimeout(600)
        peer.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert peer.say(PROPOSAL).hear()[0] == 2
        peer.say(data(pdv(3, 3, tiny_command(uid.decode()))))
        peer.say(data(pdv(3, 0, beginning(uid, pixel_bytes))))
        piece = data(pdv(3, 0, PIECE))
        for _ in range(pixel_bytes // len(PIECE)):
            peer.say(piece)
        status = peer.say(data(pdv(3, 2))).status()
        assert peer.say(RELEASE).hear()[0] == 6
        return status


@pytest.mark.parametrize(
    "pixel_mib", [256, pytest.param(2048, marks=[pytest.mark.long, pytest.mark.timeout(900)])]
)
def test_memory_does_not_grow_with_the_size_of_an_instance(tmp_path: Path, pixel_mib: int) -> None:
    with served(tmp_path) as (process_id, port):
        assert send_pixels(port, b"1.44", MIB) == 0x0000
        before = peak_bytes(process_id)
        assert send_pixels(port, b"1.55", pixel_mib * MIB) == 0x0000
        assert peak_bytes(process_id) - before < 64 * MIB
