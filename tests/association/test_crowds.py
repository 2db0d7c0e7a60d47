"""Many peers at once and many associations one after another: none is lost, and nothing is used up."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from statistics import linear_regression

import pytest
from raw_peer import CONTEXTS, ECHO, PROPOSAL, RELEASE, RawPeer, data, pdv, request, tiny_command, tiny_data_set
from receiving import Node, running, served

SOAK_ASSOCIATIONS = int(os.environ.get("SOAK_ASSOCIATIONS", "100000"))


def together(peers: int, come: Callable[[int], None]) -> None:
    """Let so many peers come at the same moment, and wait for all."""
    start = threading.Barrier(peers)

    def arrive(number: int) -> None:
        start.wait(60)
        come(number)

    threads = [threading.Thread(target=arrive, args=(number,)) for number in range(peers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)


def send_until_kept(node: Node, calling: bytes, uid: str) -> None:
    """Send an instance, again after each rejection as transient or busy answer, until it is kept."""
    message = data(pdv(3, 3, tiny_command(uid)), pdv(3, 2, tiny_data_set(uid.encode())))
    while True:
        with RawPeer.connect(node.listener.port) as peer:
            peer.connection.settimeout(120)
            if peer.say(request(*CONTEXTS, calling=calling)).hear()[0] == 2 and peer.say(message).status() == 0x0000:
                assert peer.say(RELEASE).hear()[0] == 6
                return
        threading.Event().wait(0.2)


@pytest.mark.parametrize("peers", [200, pytest.param(500, marks=pytest.mark.long)])
def test_peers_that_come_at_once_are_all_served(tmp_path: Path, peers: int) -> None:
    with running(tmp_path) as node:
        together(peers, lambda number: send_until_kept(node, b"PEER%d" % (number % 8), f"1.2.{10 + number}0"))
        assert set(node.instances) == {f"1.2.{10 + number}0" for number in range(peers)}


@pytest.mark.parametrize("senders", [8, pytest.param(64, marks=pytest.mark.long)])
def test_senders_that_send_five_times_each_lose_nothing(tmp_path: Path, senders: int) -> None:
    def send_five(number: int) -> None:
        for study in range(5):
            send_until_kept(node, b"SENDER%d" % number, f"1.3.{100 + number}.1{study}")

    with running(tmp_path) as node:
        together(senders, send_five)
        assert len(node.instances) == 5 * senders


@pytest.mark.timeout(0)
@pytest.mark.parametrize("associations", [20_000, pytest.param(SOAK_ASSOCIATIONS, marks=pytest.mark.long)])
def test_associations_one_after_another_use_nothing_up(
    tmp_path: Path, associations: int, note_figures: Callable[..., None]
) -> None:
    with served(tmp_path) as (process_id, port):
        for _ in range(associations // 10):
            associate(port)
        seen = [usage(process_id)]
        for _ in range(10):
            for _ in range(associations // 10):
                associate(port)
            seen.append(usage(process_id))
    growth = {name: seen[-1][name] - seen[0][name] for name in seen[0]}
    slope = linear_regression([step * associations / 10 for step in range(11)], [one["bytes"] for one in seen]).slope
    mib_per_10_000 = slope * 10_000 / (1024 * 1024)
    note_figures(associations=associations, mib_per_10_000=round(mib_per_10_000, 3), **growth)
    assert mib_per_10_000 <= 1.0, seen
    assert max(abs(growth["threads"]), abs(growth["descriptors"])) <= 8


def associate(port: int) -> None:
    with RawPeer.connect(port) as peer:
        assert peer.say(PROPOSAL).hear()[0] == 2
        assert peer.say(ECHO).status() == 0x0000
        assert peer.say(RELEASE).hear()[0] == 6


def usage(process_id: int) -> dict[str, int]:
    """Return what a process holds: threads, descriptors, and bytes of memory that are its own."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return {
        "threads": int(status.split("Threads:")[1].split()[0]),
        "descriptors": len(list(Path(f"/proc/{process_id}/fd").iterdir())),
        "bytes": 1024 * int(status.split("RssAnon:")[1].split()[0]),
    }
