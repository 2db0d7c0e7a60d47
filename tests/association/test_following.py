"""An instance is answered for before its row is made, and the row comes whatever the peer does then."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from committing import ASKER, ask, request_for
from raw_peer import (
    ABORT,
    CONTEXTS,
    CT_CLASS,
    RELEASE,
    RawPeer,
    data,
    pdv,
    request,
    tiny_data_set,
    tiny_store,
    tiny_store_command,
)
from receiving import Node, running
from waiting import until

from node.peers import Peer
from node.vocabulary import InstanceReference


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path, peers=(Peer(ae_title=ASKER, host="127.0.0.1", port=104),)) as started:
        yield started


@contextmanager
def stopped_amid_the_third(node: Node) -> Iterator[RawPeer]:
    """Give a peer that has brought two instances and is in the middle of a third."""
    with RawPeer.connect(node.listener.port) as peer:
        peer.say(request(*CONTEXTS, calling=ASKER.encode())).hear()
        assert peer.say(tiny_store("1.44")).status() == 0x0000
        assert peer.say(tiny_store("1.45"), tiny_store_command("1.46")).status() == 0x0000
        assert list(node.instances) == ["1.44"]
        yield peer


def test_the_row_comes_soon_although_the_peer_has_stopped(node: Node) -> None:
    with stopped_amid_the_third(node):

        def has_row() -> bool:
            node.listener.settle_late()  # which the node does ten times a second
            return "1.45" in node.instances

        until(has_row)


def test_the_row_comes_with_those_of_the_next_ones(node: Node) -> None:
    with stopped_amid_the_third(node) as peer:
        assert peer.say(data(pdv(3, 2, tiny_data_set(b"1.46")))).status() == 0x0000
        until(lambda: len(node.instances) == 3)


@pytest.mark.parametrize("last_words", [ABORT, RELEASE, b"", b"nonsense"])
def test_the_row_is_there_when_the_association_has_ended_however_it_did(node: Node, last_words: bytes) -> None:
    with stopped_amid_the_third(node) as peer:
        peer.say(last_words)
    assert node.endings() == ["aborted" if last_words else "connection lost"]
    assert list(node.instances) == ["1.44", "1.45"]
    assert node.files("incoming") == []


def test_the_row_is_there_when_another_association_asks_for_commitment(node: Node) -> None:
    with stopped_amid_the_third(node):
        asked = request_for(InstanceReference(CT_CLASS, "1.45"))
        assert ask(node.address, asked) == (0x0000, "")
        assert "1.45" in node.instances
