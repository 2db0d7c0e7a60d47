"""A node that is killed again and again while senders send loses nothing, and sends nothing twice or torn."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faulty import FaultServer, FaultyNode, NodeGone, Story, assert_nothing_lost, recording_pacs, write_story

SHORTEST_LIFE_SECONDS, LONGEST_LIFE_SECONDS = 0.2, 1.1


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FaultyNode]:
    server = FaultServer()
    with recording_pacs() as pacs:
        node = FaultyNode(server, tmp_path / "node", pacs)
        yield node
        node.kill()
    server.stop()


def live_until_killed(node: FaultyNode, pending: list[Story], life_seconds: float) -> None:
    """Send what is pending until the node is killed, and take from the list what came to its end."""
    node.start()
    killer = threading.Timer(life_seconds, node.kill)
    killer.start()
    with suppress(NodeGone):
        while pending:
            node.send(pending[0])
            node.settle(pending[0])
            del pending[0]
    killer.join()


def survive(node: FaultyNode, folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    stories: list[Story] = []
    pending: list[Story] = []
    for number in range(1, kills + 1):
        new = [write_story(folder, 2 * number + i) for i in range(2)]
        stories += new
        pending += new
        live_until_killed(node, pending, chance.uniform(SHORTEST_LIFE_SECONDS, LONGEST_LIFE_SECONDS))
    assert any(story.statuses for story in stories)
    node.start()
    for story in stories:
        node.send(story)
        node.settle(story)
    node.kill()
    assert_nothing_lost(node, *stories)


@pytest.mark.timeout(600)
def test_a_node_killed_fifty_times_loses_nothing(node: FaultyNode, tmp_path: Path) -> None:
    survive(node, tmp_path / "sent", kills=50, seed=20261120)


@pytest.mark.long
@pytest.mark.timeout(4 * 3600)
def test_a_node_killed_a_thousand_times_over_two_thousand_studies_loses_nothing(
    node: FaultyNode, tmp_path: Path
) -> None:
    survive(node, tmp_path / "sent", kills=1000, seed=1)
