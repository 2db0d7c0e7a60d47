"""The same attacks on every receiver; each says what came of it, and how much harm that is."""

from __future__ import annotations

import contextlib
import random
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from peers.servers import Server
from raw_peer import CT_CLASS, EXPLICIT, RELEASE, RawPeer, context, data, element, pdv, request, tiny_command

CONTEXTS = (context(3, CT_CLASS, EXPLICIT),)
PIECE_BYTES = 12_000  # every receiver takes PDUs of 16 KiB
MIB = 1024 * 1024
HONEST_SECONDS = 5.0


@dataclass(frozen=True)
class Outcome:
    """What came of an attack in a few words, and its harm: 0 is none, more is worse."""

    said: str
    harm: float


def instance(uid: str, patient: str = "P1", rows: int = 4, columns: int = 4) -> bytes:
    """Return the data set of a black image, in Explicit VR Little Endian."""
    return image_head(uid, patient, rows, columns) + bytes(rows * columns)


def image_head(uid: str, patient: str, rows: int, columns: int) -> bytes:
    """Return the data set of an image of one byte for each pixel up to where its pixels begin."""

    def text(group: int, number: int, representation: bytes, value: str) -> bytes:
        fill = b"\0" if representation == b"UI" else b" "
        encoded = value.encode()
        return element(group, number, representation, encoded + fill * (len(encoded) % 2))

    return (
        text(0x0008, 0x0016, b"UI", CT_CLASS)
        + text(0x0008, 0x0018, b"UI", uid)
        + text(0x0008, 0x0060, b"CS", "CT")
        + text(0x0010, 0x0010, b"PN", patient)
        + text(0x0010, 0x0020, b"LO", patient)
        + text(0x0020, 0x000D, b"UI", "1.2.77")
        + text(0x0020, 0x000E, b"UI", "1.2.77.1")
        + element(0x0028, 0x0002, b"US", struct.pack("<H", 1))
        + text(0x0028, 0x0004, b"CS", "MONOCHROME2")
        + element(0x0028, 0x0010, b"US", struct.pack("<H", rows))
        + element(0x0028, 0x0011, b"US", struct.pack("<H", columns))
        + b"".join(element(0x0028, number, b"US", struct.pack("<H", bits)) for number, bits in _BITS)
        + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, rows * columns)
    )


_BITS = ((0x0100, 8), (0x0101, 8), (0x0102, 7), (0x0103, 0))


@contextlib.contextmanager
def associated(server: Server, seconds: float = 60.0, calling: bytes = b"MODALITY") -> Iterator[RawPeer]:
    """Associate; raises OSError or AssertionError when the server does not let a peer in."""
    with RawPeer.connect(server.port) as peer:
        peer.connection.settimeout(seconds)
        assert peer.say(request(*CONTEXTS, calling=calling)).hear()[0] == 2
        yield peer


def store(peer: RawPeer, uid: str, data_set: bytes) -> int:
    """Send one instance and return the status; raises OSError or AssertionError when none comes."""
    peer.say(data(pdv(3, 3, tiny_command(uid))))
    for at in range(0, len(data_set), PIECE_BYTES):
        is_last = at + PIECE_BYTES >= len(data_set)
        peer.say(data(pdv(3, 2 if is_last else 0, data_set[at : at + PIECE_BYTES])))
    return peer.status()


def try_store(
    server: Server, uid: str, data_set: bytes, seconds: float = 20.0, calling: bytes = b"MODALITY"
) -> int | None:
    """Store over an association of its own; None when no status came."""
    with contextlib.suppress(OSError, AssertionError), associated(server, seconds, calling) as peer:
        status = store(peer, uid, data_set)
        peer.say(RELEASE).hear()
        return status
    return None


def killed(server: Server, kills: int = 10) -> Outcome:
    """SIGKILL at random moments while images of 1 MiB come in."""
    chance = random.Random(1)
    acknowledged: list[str] = []
    number = 0
    _, torn_before = server.holds()
    for _ in range(kills):
        if not server.is_alive():
            server.start()
        killer = threading.Timer(chance.uniform(0.3, 1.5), server.kill)
        killer.start()
        with contextlib.suppress(OSError, AssertionError), associated(server) as peer:
            while True:
                number += 1
                uid = f"1.2.77.2.{number}"
                if store(peer, uid, instance(uid, rows=1024, columns=1024)) == 0x0000:
                    acknowledged.append(uid)
        killer.join()
    server.start()
    whole, torn = server.holds()
    torn -= torn_before
    lost = sum(uid not in whole for uid in acknowledged)
    return Outcome(f"{len(acknowledged)} answered 0000: {lost} lost, {torn} torn under a final name", lost + torn)


def _beset(server: Server, first_words: bytes) -> Outcome:
    """Let 60 peers say the beginning of something and then nothing more, and honest ones try to store."""
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            with contextlib.suppress(OSError):
                stack.enter_context(RawPeer.connect(server.port)).say(first_words)
        served = 0
        for number in range(10):
            uid = f"1.2.77.3.{len(first_words)}.{number}"
            served += try_store(server, uid, instance(uid), HONEST_SECONDS) == 0x0000
    return Outcome(f"{served} of 10 honest stores answered 0000", 10 - served)


def silent(server: Server) -> Outcome:
    """60 connections that say nothing."""
    return _beset(server, b"")


def half_said(server: Server) -> Outcome:
    """60 connections that stop in the middle of their association request."""
    return _beset(server, request(*CONTEXTS)[:40])


def truncated(server: Server) -> Outcome:
    """Data sets that end within an element, each sent as a whole one; elements are of even length."""
    whole = instance("1.2.77.4.10", rows=8, columns=8)
    taken = 0
    for number in range(1, 40):
        uid = f"1.2.77.4.{number + 10}"
        cut = instance(uid, rows=8, columns=8)[: len(whole) * number // 40 | 1]
        taken += try_store(server, uid, cut, seconds=5.0) == 0x0000  # one of the servers never answers them
    return Outcome(f"{taken} of 39 answered 0000", taken)


def same_uid(server: Server) -> Outcome:
    """Another patient's image under the UID of one that is there."""
    uid = "1.2.77.5"
    try_store(server, uid, instance(uid, "FIRST"))
    status = try_store(server, uid, instance(uid, "SECOND"))
    whole, _ = server.holds()
    if "FIRST" not in whole[uid]:
        return Outcome("the first is overwritten", 2)
    if status == 0x0000:
        kept = "both are there" if "SECOND" in whole[uid] else "the second is dropped"
        return Outcome(f"{kept}, both answered 0000", 1)
    return Outcome(f"the first is kept; the second answered {_spelt(status)}", 0)


def nested(server: Server) -> Outcome:
    """20,000 sequences, each within the one before."""
    uid, levels = "1.2.77.6", 20_000
    endless = 0xFFFFFFFF
    begin = struct.pack("<HH2sHIHHI", 0x0040, 0xA730, b"SQ", 0, endless, 0xFFFE, 0xE000, endless)
    end = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)
    flat, pixels = instance(uid), 12 + 4 * 4
    status = try_store(server, uid, flat[:-pixels] + begin * levels + end * levels + flat[-pixels:])
    time.sleep(1.0)
    if not server.is_alive():
        return Outcome("the server is dead", 2)
    if status is None:
        return Outcome("no answer; the server lives", 1)
    return Outcome(f"answered {_spelt(status)}; the server lives", 0)


def path_uid(server: Server) -> Outcome:
    """A UID that is a path to a place outside the store."""
    outside = server.folder.parent / "escaped"
    uid = "../escaped"
    status = try_store(server, uid, instance(uid))
    escaped = any("escaped" in path.name for path in server.folder.parent.iterdir())
    outside.unlink(missing_ok=True)
    said = "a file outside the store" if escaped else "nothing outside the store"
    return Outcome(f"{said}, answered {_spelt(status)}", int(escaped))


def large(server: Server, rows: int = 16 * 1024) -> Outcome:
    """One instance of 512 MiB; growth within 64 MiB is no harm."""
    before, peak = server.resident_bytes(), 0
    is_over = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not is_over.wait(0.05):
            peak = max(peak, server.resident_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        status = _store_large(server, "1.2.77.7", rows, 32 * 1024)
    finally:
        is_over.set()
        watcher.join()
    growth = max(0, peak - before) // MIB
    return Outcome(f"{growth} MiB more memory, answered {_spelt(status)}", max(0, growth - 64) + (status != 0x0000))


def _store_large(server: Server, uid: str, rows: int, columns: int) -> int | None:
    with contextlib.suppress(OSError, AssertionError), associated(server, 300.0) as peer:
        peer.say(data(pdv(3, 3, tiny_command(uid))), data(pdv(3, 0, image_head(uid, "P1", rows, columns))))
        pdus = data(pdv(3, 0, bytes(8192))) * 64
        for _ in range(rows * columns // (64 * 8192)):
            peer.say(pdus)
        return peer.say(data(pdv(3, 2))).status()
    return None


def full_disk(server: Server, ballast: Path) -> Outcome:
    """More than the disk takes, in images of 1 MiB; then space is made."""
    acknowledged = []
    for number in range(30):
        uid = f"1.2.77.8.{number}"
        if try_store(server, uid, instance(uid, rows=1024, columns=1024), 20.0) == 0x0000:
            acknowledged.append(uid)
    whole, torn = server.holds() if server.is_alive() else ({}, 0)
    lost = sum(uid not in whole for uid in acknowledged)
    ballast.unlink()
    time.sleep(2.0)
    goes_on = try_store(server, "1.2.77.8.99", instance("1.2.77.8.99"), 20.0) == 0x0000
    said = f"{len(acknowledged)} answered 0000: {lost} lost, {torn} torn; {'goes on' if goes_on else 'does not go on'}"
    return Outcome(said, lost + torn + (not goes_on))


def crowd(server: Server, peers: int = 500, seconds: float = 120.0) -> Outcome:
    """Peers with a title each that come at once, store an image, and try again until it is taken or time is up."""
    end = time.monotonic() + seconds
    begin = threading.Barrier(peers)
    stored: list[str] = []

    def come(number: int) -> None:
        uid = f"1.2.77.9.{number}"
        begin.wait(60)
        while time.monotonic() < end:
            if try_store(server, uid, instance(uid), 30.0, b"PEER%d" % number) == 0x0000:
                stored.append(uid)
                return
            time.sleep(0.5)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(peers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    whole, _ = server.holds()
    lost = sum(uid not in whole for uid in stored)
    return Outcome(f"{len(stored)} of {peers} stored, {lost} lost", peers - len(stored) + lost)


def _spelt(status: int | None) -> str:
    return "nothing" if status is None else f"{status:04X}"


ATTACKS: dict[str, Callable[[Server], Outcome]] = {
    "another patient's image under a UID that is there": same_uid,
    "39 data sets that end within an element": truncated,
    "a UID that is a path": path_uid,
    "60 connections that say nothing": silent,
    "60 connections that stop within their request": half_said,
    "one instance of 512 MiB": large,
    "20,000 nested sequences": nested,
    "500 peers at once": crowd,
    "killed ten times while images of 1 MiB come in": killed,
}
