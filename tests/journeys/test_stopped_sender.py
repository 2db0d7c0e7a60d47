"""A sender that stops amid an instance, its connection open: what it was answered for before is recorded soon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from faulty import FaultServer, FaultyNode, recording_pacs
from raw_peer import CONTEXTS, RawPeer, request, tiny_store, tiny_store_command
from waiting import until


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FaultyNode]:
    server = FaultServer()
    with recording_pacs() as pacs:
        node = FaultyNode(server, tmp_path / "node", pacs)
        node.start()
        node.until_it_listens()
        yield node
        node.kill()
    server.stop()


def test_what_a_sender_was_answered_for_is_recorded_although_it_has_stopped(node: FaultyNode) -> None:
    with RawPeer.connect(node.port) as peer:
        peer.say(request(*CONTEXTS)).hear()
        assert peer.say(tiny_store("1.44")).status() == 0x0000
        assert peer.say(tiny_store("1.45"), tiny_store_command("1.46")).status() == 0x0000
        until(lambda: node.count_events("instance kept") == 2, node.folder / "node.log")
        assert node.count_events("association closed") == 0
