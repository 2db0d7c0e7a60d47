"""Power that is lost takes nothing that was acknowledged and nothing that was sent, whatever was not flushed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pytest
from dcmtk import data_set_bytes, free_port, wait_for_port
from faulty import FaultServer, FaultyNode, Pacs, Story, recording_pacs, write_story
from forgetful_disk import ForgetfulDisk, Survives, everything_survives, nothing_survives, some_survives
from pydicom import dcmread
from sqlalchemy import select
from system_calls import play, recorded

from node.archive import Archive
from node.archive.journal import Journal
from node.archive.reread import FileState
from node.clock import SystemClock
from node.database import Association, Database, Instance, Result
from node.database.opening import open_whole
from node.delivery.scu import send_instances
from node.jobs.queue import JobQueue
from node.studies.index import InstanceIndex
from node.studies.reconciliation import Reconciliation
from node.upkeep.verification import verify_files
from node.vocabulary import PeerAddress

pytestmark = [
    pytest.mark.skipif(shutil.which("strace") is None, reason="needs the package strace"),
]

STORE, STORE_ANSWER = 0x0001, 0x8001
SENDER = "XRAY"
PROMISES_OF_TWO_STUDIES = 12  # two instances that are taken and four results that are sent, of each
MANY_MOMENTS = 1000


@dataclass(frozen=True)
class Recording:
    """What a node did on its disk and on the wire while it lived twice."""

    folder: Path
    trace: Path
    stories: list[Story]
    pacs: Pacs

    def sent_by_peer(self) -> dict[str, bytes]:
        """The data set of each instance as it was sent first, by SOP Instance UID."""
        first = {story.paths[0] for story in self.stories}
        return {str(dcmread(path).SOPInstanceUID): data_set_bytes(path) for path in sorted(first)}

    def sent_by_node(self) -> dict[str, bytes]:
        """The data set of each result that the PACS took, by SOP Instance UID."""
        return {uid: copies[0] for taken in self.pacs.taken.values() for uid, copies in taken.items()}


def record(folder: Path, studies: int) -> Recording:
    """Let a node take studies and send their results, end, start, take more, and be killed."""
    trace = folder / "trace"
    server = FaultServer(*recorded(trace))
    with recording_pacs() as pacs:
        node = FaultyNode(server, folder / "node", pacs)
        stories = [write_story(folder / "sent", number) for number in range(1, studies + 1)]
        node.start()
        for story in stories:
            if story is stories[-1]:
                node.terminate()
                node.start()
            node.send(story)
            node.settle(story)
        node.kill()
    server.stop()
    return Recording(folder / "node", trace, stories, pacs)


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return record(tmp_path_factory.mktemp("power"), studies=2)


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder that is in memory where the system has one, for hundreds of thousands of small files."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder)


@dataclass
class Promises:
    """What the node has told others so far, by SOP Instance UID: what it took, and what it sent."""

    taken: set[str] = field(default_factory=set)
    sent: set[str] = field(default_factory=set)


def moments(recording: Recording, disk: ForgetfulDisk, promises: Promises) -> Iterator[bool]:
    """Give each moment after something happened; tell whether it was a promise."""
    for message in play(recording.trace, disk):
        if message is None:
            yield False
        elif message.command == STORE_ANSWER and message.status == 0x0000:
            promises.taken.add(message.sop_instance_uid)
            yield True
        elif message.command == STORE:
            promises.sent.add(message.sop_instance_uid)
            yield True


def lose_power(recording: Recording, folder: Path, seed: int, one_in: int) -> int:
    """Lose power after each promise, and at one moment in so many; return how often."""
    chance = random.Random(seed)
    disk, promises, lost = ForgetfulDisk(PurePosixPath(recording.folder)), Promises(), 0
    for is_promise in moments(recording, disk, promises):
        if is_promise or chance.randrange(one_in) == 0:
            survives = nothing_survives if is_promise else some_survives(chance)
            check(recording, promises, disk, folder / f"loss-{lost}", survives)
            lost += 1
    assert promises.taken == set(recording.sent_by_peer())
    assert promises.sent == set(recording.sent_by_node())
    return lost


def check(recording: Recording, promises: Promises, disk: ForgetfulDisk, folder: Path, survives: Survives) -> None:
    """Give the machine power again, and see that everything promised is there."""
    disk.after_power_loss(folder, survives)
    data = folder / "radnode-data"
    if not promises.taken and not data.exists():
        return
    with closing(open_whole(data / "radnode.db")) as database:
        archive = Archive(data)
        wake(database, archive, Journal(data, "boot after the loss", database.sync))
        instances, results = kept(database, archive)
        senders = senders_of(database)
        whole = [recording.sent_by_peer(), recording.sent_by_node()]
        for uid in promises.taken:
            assert instances.get(uid) == whole[0][uid], f"{uid} was acknowledged and is lost, or other than it was"
            assert senders[uid] == SENDER, f"{uid} was acknowledged, and who sent it is lost"
        for uid in promises.sent:
            assert results.get(uid) == whole[1][uid], f"{uid} was sent and is lost, or other than it was"
        assert {file.state for file in verify_files(database.path, archive)} <= {FileState.WHOLE}
        sent = {data_set_bytes(path) for story in recording.stories for path in story.paths}
        assert {data_set_bytes(path) for path in (data / "quarantine").iterdir()} <= sent
    shutil.rmtree(folder)


def wake(database: Database, archive: Archive, journal: Journal) -> None:
    """Do what a node does at its start before it listens."""
    clock = SystemClock()
    archive.sweep_incoming()
    arrivals = journal.replay(archive.put_back)
    index = InstanceIndex(database, clock)
    index.close_stale_associations()
    JobQueue(database, clock, lease_seconds=30.0, attempts=3).interrupt()
    assert Reconciliation(database, archive, index, clock).run(arrivals).missing == 0


def kept(database: Database, archive: Archive) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Return the data sets of all instances and of all results that have a row."""
    with database.reading() as session:
        instances = session.execute(select(Instance.sop_instance_uid, Instance.path)).all()
        results = session.execute(select(Result.sop_instance_uid, Result.path)).all()
    return tuple({uid: data_set_bytes(archive.path_of(path)) for uid, path in rows} for rows in (instances, results))


def senders_of(database: Database) -> dict[str, str]:
    """Return the AE title that brought each instance."""
    with database.reading() as session:
        brought = select(Instance.sop_instance_uid, Association.calling_ae_title).join(Instance.association)
        return dict(session.execute(brought).all())


def test_the_model_of_the_disk_holds_what_the_real_one_does(recording: Recording, tmp_path: Path) -> None:
    disk = ForgetfulDisk(PurePosixPath(recording.folder))
    for _ in play(recording.trace, disk):
        pass
    disk.after_power_loss(tmp_path / "copy", everything_survives)
    real, copy = (recording.folder / "radnode-data", tmp_path / "copy" / "radnode-data")
    assert contents(copy) == contents(real)


def contents(root: Path) -> dict[str, bytes | str]:
    """Return the bytes of every file; of the database its rows, for who looks at it last empties its log."""
    files = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith("radnode.db")]
    with closing(sqlite3.connect(root / "radnode.db")) as database:
        rows = "\n".join(database.iterdump())
    return {str(path.relative_to(root)): path.read_bytes() for path in files} | {"radnode.db": rows}


def test_power_that_is_lost_takes_nothing_that_was_promised(recording: Recording, memory: Path) -> None:
    assert lose_power(recording, memory, seed=1, one_in=90) >= PROMISES_OF_TWO_STUDIES


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_power_that_is_lost_at_any_of_a_thousand_moments_takes_nothing_that_was_promised(
    tmp_path: Path, memory: Path, note_figures: Callable[..., None]
) -> None:
    lost = lose_power(record(tmp_path, studies=40), memory, seed=2, one_in=12)
    note_figures(times_without_power=lost)
    assert lost >= MANY_MOMENTS


@pytest.mark.long
def test_storescp_loses_everything_it_acknowledged(tmp_path: Path, note_figures: Callable[..., None]) -> None:
    """What radnode is compared with: dcmtk's receiver flushes nothing, so power that is lost may take all of it."""
    kept, trace = tmp_path / "kept", tmp_path / "trace"
    kept.mkdir()
    sent = [write_story(tmp_path / "sent", number).paths[0] for number in range(5)]
    port = free_port()
    command = [*recorded(trace), "storescp", "+B", "+xa", "-od", str(kept), str(port)]
    with subprocess.Popen(command) as process:
        wait_for_port(port)
        answers = list(send_instances("XRAY", PeerAddress("STORESCP", "127.0.0.1", port), sent, 20.0))
        (receiver,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(receiver), signal.SIGTERM)
    disk = ForgetfulDisk(PurePosixPath(kept))
    acknowledged = [message for message in play(trace, disk) if message and message.command == STORE_ANSWER]
    disk.after_power_loss(tmp_path / "after", nothing_survives)
    left = len(list((tmp_path / "after").iterdir()))
    note_figures(acknowledged=len(acknowledged), left=left)
    assert len(acknowledged) == len(answers) == len(sent)
    assert left == 0
