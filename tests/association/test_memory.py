"""Memory while large things come in: it does not depend on the size of an instance, and is bounded for a crowd."""

from __future__ import annotations

import socket
import struct
from contextlib import ExitStack
from pathlib import Path

import pytest
from raw_peer import (
    CT_CLASS,
    IMPLICIT,
    PROPOSAL,
    RELEASE,
    RawPeer,
    action_command,
    data,
    pdv,
    tiny_command,
    tiny_data_set,
)
from receiving import served

from node.commitment.information import MOST_REFERENCES, encode_request
from node.vocabulary import CommitmentRequest, InstanceReference

MIB = 1024 * 1024
PIECE = bytes(128 * 1024)
CROWD = 32  # as many associations as one peer may have


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


@pytest.mark.parametrize("pixel_mib", [256, pytest.param(2048, marks=pytest.mark.long)])
def test_memory_does_not_grow_with_the_size_of_an_instance(tmp_path: Path, pixel_mib: int) -> None:
    with served(tmp_path) as (process_id, port):
        assert send_pixels(port, b"1.44", MIB) == 0x0000
        before = peak_bytes(process_id)
        assert send_pixels(port, b"1.55", pixel_mib * MIB) == 0x0000
        assert peak_bytes(process_id) - before < 64 * MIB


def test_a_crowd_that_asks_for_as_much_commitment_as_it_may_is_held_in_bounds(tmp_path: Path) -> None:
    uids = (f"1.2.826.0.1.3680043.8.498.{10**37 + number}" for number in range(MOST_REFERENCES))
    longest = CommitmentRequest("1.2.77", tuple(InstanceReference(CT_CLASS, uid) for uid in uids))
    information = encode_request(longest, IMPLICIT)
    most = [data(pdv(7, 0, information[at : at + 60_000])) for at in range(0, len(information), 60_000)]
    with served(tmp_path) as (process_id, port), ExitStack() as crowd:
        assert send_pixels(port, b"1.44", MIB) == 0x0000
        before = peak_bytes(process_id)
        peers = [crowd.enter_context(RawPeer.connect(port)) for _ in range(CROWD)]
        for peer in peers:
            peer.connection.settimeout(60)
            assert peer.say(PROPOSAL).hear()[0] == 2
            peer.say(data(pdv(7, 3, action_command())), *most)
        for peer in peers:
            peer.say(data(pdv(7, 2)))
        assert {peer.status() for peer in peers} == {0x0124}  # of a peer that nobody knows, once all is read
        assert peak_bytes(process_id) - before < 192 * MIB
