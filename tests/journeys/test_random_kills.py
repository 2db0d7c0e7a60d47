"""A node that is killed again and again while senders send loses nothing, and sends nothing twice or torn."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faulty import FaultServer, FaultyNode, NodeGone, Story, assert_nothing_lost, recording_pacs, write_story

KILLS_BETWEEN_RESTS = 8  # a job during which ten nodes went down is not tried again
LONGEST_START_SECONDS, LONGEST_LIFE_SECONDS = 0.6, 1.2


@pytest.fixture
def node(tmp_path: Path) -> Iterator[FaultyNode]:
    server = FaultServer()
    with recording_pacs() as pacs:
        node = FaultyNode(server, tmp_path / "node", pacs)
        yield node
        node.kill()
    server.stop()


def live_until_killed(node: FaultyNode, unsent: list[Story], chance: random.Random) -> None:
    """Kill the node while it starts or soon after; send meanwhile, and take from the list what was sent."""
    dies_early = chance.random() < 0.25
    life_seconds = chance.uniform(0.0, LONGEST_START_SECONDS if dies_early else LONGEST_LIFE_SECONDS)
    node.start()
    if not dies_early:
        node.until_it_listens()
    killer = threading.Timer(life_seconds, node.kill)
    killer.start()
    with suppress(NodeGone):
        while unsent:
            node.send(unsent[0])
            del unsent[0]
    killer.join()


def rest(node: FaultyNode, unsent: list[Story], stories: list[Story]) -> None:
    """Let a node live until every study has come to its end."""
    node.start()
    for story in unsent:
        node.send(story)
    for story in stories:
        node.settle(story)
    node.kill()
    unsent.clear()


def survive(node: FaultyNode, folder: Path, kills: int, seed: int) -> list[Story]:
    """Kill the node so often, with two new studies in each of its lives, and check that nothing is lost."""
    chance = random.Random(seed)
    stories: list[Story] = []
    unsent: list[Story] = []
    rested = 0
    for number in range(1, kills + 1):
        new = [write_story(folder, 2 * number + i) for i in range(2)]
        stories += new
        unsent += new
        live_until_killed(node, unsent, chance)
        if number % KILLS_BETWEEN_RESTS == 0 or number == kills:
            rest(node, unsent, stories[rested:])
            rested = len(stories)
    assert_nothing_lost(node, *stories)
    return stories


def test_a_node_killed_fifty_times_loses_nothing(node: FaultyNode, tmp_path: Path) -> None:
    survive(node, tmp_path / "sent", kills=50, seed=20261120)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(10))
def test_a_node_killed_a_hundred_times_over_two_hundred_studies_loses_nothing(
    node: FaultyNode, tmp_path: Path, seed: int, note_figures: Callable[..., None]
) -> None:
    stories = survive(node, tmp_path / "sent", kills=100, seed=seed)
    note_figures(kills=100, studies=len(stories), acknowledged=sum(len({*story.acknowledged}) for story in stories))
