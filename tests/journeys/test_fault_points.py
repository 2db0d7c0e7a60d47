"""A node that dies, fails or hangs at any of its fault points loses nothing, and sends nothing twice or torn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count, cycle, repeat
from pathlib import Path

import pytest
from faulty import (
    FaultServer,
    FaultyNode,
    NodeGone,
    Pacs,
    Story,
    assert_nothing_lost,
    recording_pacs,
    write_story,
)
from waiting import until

from node.archive.journal import JournalSize
from node.database import EventName
from node.faults import FaultPoint

# What a person does is done by a process of its own, and tried below.
BY_A_PERSON = {
    EventName.STUDY_COMPLETION_ASKED: "complete",
    EventName.STUDY_CANCELLED: "cancel",
    EventName.STUDY_RETRIED: "retry",
    EventName.STUDY_RELEASED: "release",
    EventName.DELIVERY_RESENT: "resend",
    EventName.JOB_CANCELLED: "cancel",
}
# A file that is lost or spoiled is no fault of ours; a worker that doubts and a job under which a node goes down are
# tested elsewhere. What a peer asks us to keep is tried in tests/commitment/test_served.py, and what we ask of one in
# tests/delivery/test_commitment.py, with a kill at each of their points.
_OF_COMMITMENT = {
    EventName.COMMITMENT_RECEIVED,
    EventName.COMMITMENT_JUDGED,
    EventName.COMMITMENT_REPORTED,
    EventName.COMMITMENT_UNREPORTED,
    EventName.COMMITMENT_ASKED,
    EventName.DELIVERY_COMMITTED,
    EventName.DELIVERY_NOT_COMMITTED,
    EventName.DELIVERY_NEVER_COMMITTED,
}
_NOT_HERE = {
    EventName.TIME_SKIPPED,  # tests/delivery/test_retention.py
    EventName.FILE_MISSING,
    EventName.FILE_CHANGED,
    EventName.IDENTITY_DOUBTED,
    EventName.JOB_INTERRUPTED,
    *_OF_COMMITMENT,
}
_OF_THE_NODE = [name for name in EventName if name not in {*BY_A_PERSON, *_NOT_HERE}]
POINTS = [*map(str, FaultPoint), *map(str, _OF_THE_NODE), *(f"{name} committed" for name in _OF_THE_NODE)]
REMOVING = {"removal list written", "removal list named", "file removed", "removal list removed", "study removed"}
numbers = count(1)

DEATHS_OF_A_POINT, DEATHS_BETWEEN_RESTS = 20, 5
LONGEST_LIFE_STUDIES = 2


@pytest.fixture(scope="module")
def server() -> Iterator[FaultServer]:
    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def pacs() -> Iterator[Pacs]:
    with recording_pacs() as pacs:
        yield pacs


@pytest.fixture(scope="module")
def node(server: FaultServer, pacs: Pacs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyNode]:
    """One node for all points: what one fault leaves behind, the next node finds."""
    node = FaultyNode(server, tmp_path_factory.mktemp("node"), pacs)
    yield node
    node.kill()


@pytest.fixture
def young(server: FaultServer, pacs: Pacs, tmp_path: Path) -> Iterator[FaultyNode]:
    """A node in which nothing has happened yet."""
    node = FaultyNode(server, tmp_path / "node", pacs)
    yield node
    node.kill()


def story_for(point: str, folder: Path, pacs: Pacs) -> Story:
    """Return a study that leads the node to the point."""
    number = next(numbers)
    match point.removesuffix(" committed"):
        case "job refused":
            return _ending_as("attention", write_story(folder, number, "REFUSE"))
        case "job attempt failed" | "job failed":
            return _ending_as("attention", write_story(folder, number, "FAIL"))
        case "study held" | "instance answered":  # a second one, of which file and row follow the answer
            return _ending_as("held", write_story(folder, number, PatientID="OTHER"))
        case "part flushed":  # which only happens to what is too large for the journal
            return write_story(folder, number, padding=JournalSize.of(1).largest_file_bytes)
    story = write_story(folder, number)
    match point.removesuffix(" committed"):
        case "delivery delayed":
            pacs.answers[story.study_uid] = [0xA700, 0xA700]
        case "delivery dead":
            pacs.refused[story.study_uid] = ""
            story.ends_as = "attention"
    return story


def _ending_as(state: str, story: Story) -> Story:
    story.ends_as = state
    return story


def live(node: FaultyNode, story: Story, point: str) -> None:
    """Let the node do everything that leads to the point; raises NodeGone when it dies."""
    node.send(story)
    node.settle(story)
    if point.startswith("result returned"):
        node.give_back(story)
    if point.startswith("association rejected"):
        node.be_rejected()
    if point.removesuffix(" committed") in REMOVING:
        node.remove()
    if point.startswith("node stopped") or point == FaultPoint.JOURNAL_SETTLED:
        node.terminate()


@pytest.mark.parametrize("point", POINTS)
def test_a_node_that_dies_here_and_then_fails_here_loses_nothing(
    node: FaultyNode, pacs: Pacs, tmp_path: Path, point: str
) -> None:
    stories = [story_for(point, tmp_path, pacs) for _ in ("dies", "fails")]
    node.kill()
    node.start(f"{point}:kill")
    with suppress(NodeGone):
        live(node, stories[0], point)
    until(lambda: not node.is_alive())
    assert node.mark.exists()
    node.start(f"{point}:raise")
    for story in stories:
        live_on(node, story, point)
    assert node.mark.exists()
    node.kill()
    assert_nothing_lost(node, *stories)


@pytest.mark.parametrize("point", ["journal written", "instance answered", "journal settled"])
def test_answers_that_are_to_survive_the_process_alone_survive_it(
    server: FaultServer, pacs: Pacs, tmp_path: Path, point: str
) -> None:
    node = FaultyNode(server, tmp_path / "node", pacs, durability="process")
    story = story_for(point, tmp_path, pacs)
    node.start(f"{point}:kill")
    with suppress(NodeGone):
        live(node, story, point)
    until(lambda: not node.is_alive())
    assert node.mark.exists()
    node.start()
    live_on(node, story, point)
    node.kill()
    assert_nothing_lost(node, story)


def live_on(node: FaultyNode, story: Story, point: str) -> None:
    """Live, also when the node fails before it listens and is to be started again."""
    try:
        live(node, story, point)
    except NodeGone:
        node.start(keep_mark=True)
        live(node, story, point)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", POINTS)
def test_a_node_that_dies_here_twenty_times_loses_nothing(
    young: FaultyNode, pacs: Pacs, tmp_path: Path, point: str, note_figures: Callable[..., None]
) -> None:
    """It dies at the first or second time that a life leads here.

    Now and then a node lives until all has ended, as a job during which ten nodes went down is not tried again.
    """
    node = young
    stories: list[Story] = []
    deaths, times = 0, cycle((1, 1, 2))
    while deaths < DEATHS_OF_A_POINT:
        pending: list[Story] = []
        for _ in range(DEATHS_BETWEEN_RESTS):
            node.start(f"{point}:kill:{next(times)}")
            with suppress(NodeGone):
                for _ in range(LONGEST_LIFE_STUDIES):
                    pending.append(story_for(point, tmp_path / "sent", pacs))
                    live(node, pending[-1], point)
            node.kill()
            deaths += node.mark.exists()
            if not node.mark.exists():
                times = repeat(1)  # a life leads here once only
        node.start()
        live_all(node, pending, point)
        node.kill()
        stories += pending
    assert_nothing_lost(node, *stories)
    note_figures(point=point, deaths=deaths, studies=len(stories))


def live_all(node: FaultyNode, stories: list[Story], point: str) -> None:
    """Live each story to its end, with a node that goes on by itself or is started again."""
    for story in stories:
        if not node.is_alive():  # it stopped, as its point wants
            node.start()
        live(node, story, point)


@pytest.mark.parametrize("point", ["part flushed", "rows written", "delivery answered"])
def test_a_node_that_hangs_here_answers_nothing_and_loses_nothing_when_it_is_killed(
    node: FaultyNode, pacs: Pacs, tmp_path: Path, point: str
) -> None:
    story = story_for(point, tmp_path, pacs)
    node.kill()
    node.start(f"{point}:hang:{3 if point == 'rows written' else 1}")
    sender = threading.Thread(target=live_until_killed, args=(node, story, point), daemon=True)
    sender.start()
    until(node.mark.exists)
    time.sleep(0.5)
    acknowledged = len(story.acknowledged)
    node.kill()
    sender.join(30)
    assert point == "delivery answered" or acknowledged == 0
    node.start()
    live(node, story, point)
    node.kill()
    assert_nothing_lost(node, story)


def live_until_killed(node: FaultyNode, story: Story, point: str) -> None:
    with suppress(NodeGone):
        live(node, story, point)


@pytest.mark.parametrize("name", BY_A_PERSON)
def test_what_a_person_asks_for_happens_wholly_or_not_at_all(
    node: FaultyNode, pacs: Pacs, tmp_path: Path, name: EventName
) -> None:
    verb = BY_A_PERSON[name]
    story = story_by_hand(name, tmp_path, pacs)
    node.kill()
    node.start()
    node.send(story)
    node.settle(story)
    node.kill()
    before = node.count_events(name), node.state_of(story)
    node.ask(verb, story.study_uid, f"{name}:kill")
    assert node.mark.exists()
    assert (node.count_events(name), node.state_of(story)) == before
    node.ask(verb, story.study_uid, f"{name} committed:kill")
    assert node.mark.exists()
    assert node.count_events(name) > before[0]


def story_by_hand(name: EventName, folder: Path, pacs: Pacs) -> Story:
    """Return a study in the state that a person finds it in."""
    match name:
        case EventName.STUDY_RETRIED:
            return story_for("job refused", folder, pacs)
        case EventName.STUDY_RELEASED:
            return story_for("study held", folder, pacs)
        case EventName.DELIVERY_RESENT:
            return story_for("delivery dead", folder, pacs)
        case EventName.STUDY_COMPLETION_ASKED:
            return _ending_as("receiving", write_story(folder, next(numbers), NumberOfStudyRelatedInstances=9))
    return _ending_as("analysing", write_story(folder, next(numbers), "STALL"))
