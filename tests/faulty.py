"""A node that is to die, fail or hang at one of its fault points, and what must be true of it afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from builders import chest_dx, shaded_picture
from conftest import REPOSITORY
from dcmtk import data_set_bytes, free_port
from delivery.parcels import scp
from pydicom import dcmread, uid
from raw_peer import IMPLICIT, VERIFICATION, RawPeer, context, request
from sqlalchemy import select
from waiting import until

from node.archive import Archive
from node.archive.reread import FileState
from node.database import Database, Event, Instance, Job, Result, Series, Study
from node.delivery.scu import send_instances
from node.errors import RadnodeError
from node.studies.reconciliation import Differences, find_differences
from node.upkeep.verification import verify_files
from node.vocabulary import PeerAddress

SENDING_SECONDS = 4.0
CONFLICT = 0xC001
REFUSED = 0xC000
RESULTS_OF_A_JOB = 4

SETTINGS = """
[dicom]
port = {port}
[gathering]
quiet_seconds = 0.0
[archive]
reserve_mb = 0
journal_mb = 1
durability = "{durability}"
[workers]
lease_seconds = 0.5
[delivery]
first_retry_seconds = 0.05
longest_retry_seconds = 0.1
timeout_seconds = 5.0
"""
PEERS = '[peer.PACS]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
RULES = '[[rule]]\nname = "chests"\nmodel = "chest_dx_lungs"\ndestination = ["PACS"]\nmodality = ["DX"]\n'


class NodeGone(Exception):
    """The node died while the test wanted something of it."""


class FaultServer:
    """The process that forks nodes; `within` is the command that it runs in, such as strace or a network namespace."""

    def __init__(self, *within: str) -> None:
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(REPOSITORY), str(REPOSITORY / "tests")))}
        command = [*within, sys.executable, str(REPOSITORY / "tests" / "fault_server.py")]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        assert self._answer() == "ready"

    def fork(self, **order: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"fault": "", "mark": "", "verb": "", "study": ""} | order) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def stop(self) -> None:
        """Let it come to its end, and its recorder with it."""
        self._process.communicate()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@dataclass
class Pacs:
    """What a destination got, by study and SOP Instance UID.

    `answers` are its answers of a study before it takes any; `refused` are studies of which it never takes
    the object it sees first.
    """

    port: int = 0
    answers: dict[str, list[int]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    taken: dict[str, dict[str, list[bytes]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def take(self, event: Any) -> int:
        study = str(event.dataset.StudyInstanceUID)
        instance = str(event.request.AffectedSOPInstanceUID)
        if self.answers.get(study):
            return self.answers[study].pop()
        if study in self.refused and (self.refused[study] or instance) == instance:
            self.refused[study] = instance
            return REFUSED
        self.taken[study][instance].append(event.request.DataSet.getvalue())
        return 0x0000


@contextmanager
def recording_pacs() -> Iterator[Pacs]:
    pacs = Pacs()
    with scp(pacs.take) as port:
        pacs.port = port
        yield pacs


@dataclass
class Story:
    """One study as its sender sends it, time and again until each instance has its final answer."""

    study_uid: str
    paths: tuple[Path, ...]
    ends_as: str = "done"
    statuses: dict[Path, int] = field(default_factory=dict)

    @property
    def acknowledged(self) -> list[Path]:
        return [path for path in self.paths if self.statuses.get(path) == 0x0000]


def _final_status(path: Path) -> int:
    return CONFLICT if "conflict" in path.name else 0x0000


def write_story(folder: Path, number: int, description: str = "", padding: int = 0, **facts: Any) -> Story:
    """Write an image, also in another transfer syntax, and as a contradiction; with `facts` a second one.

    The first is so many bytes larger than it would be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    study_uid = f"1.2.826.0.1.3680043.10.999.{number}"
    picture = {"StudyDescription": description, "patient_id": f"P{number}", "study_uid": study_uid}
    first = chest_dx(shaded_picture(16, 16, seed=2 * number), **picture)
    if padding:
        first.EncapsulatedDocument = bytes(padding)
    paths = [folder / f"{number}-{name}.dcm" for name in ("first", "recoded", "conflict", "second")]
    first.save_as(paths[0], enforce_file_format=True)
    if facts:
        second = chest_dx(shaded_picture(16, 16, seed=2 * number + 1), **picture, **facts)
        second.save_as(paths[3], enforce_file_format=True)
    first.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    first.save_as(paths[1], implicit_vr=True, little_endian=True, enforce_file_format=True)
    first.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    first.PatientComments = "another"
    first.save_as(paths[2], implicit_vr=False, little_endian=True, enforce_file_format=True)
    return Story(study_uid, (paths[0], *paths[: 4 if facts else 3]))


@dataclass
class FaultyNode:
    """A node in a folder, started again and again."""

    server: FaultServer
    folder: Path
    pacs: Pacs
    durability: str = "machine"
    port: int = field(default_factory=free_port)
    pid: int = 0
    began: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "node.toml").write_text(self.settings)
        (self.folder / "peers.toml").write_text(PEERS.format(port=self.pacs.port))
        (self.folder / "routes.toml").write_text(RULES)

    @property
    def settings(self) -> str:
        return SETTINGS.format(port=self.port, durability=self.durability)

    @property
    def data(self) -> Path:
        return self.folder / "radnode-data"

    @property
    def mark(self) -> Path:
        return self.folder / "mark"

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def start(self, fault: str = "", *, keep_mark: bool = False) -> None:
        """Start a node; with a fault it may be gone before it listens."""
        (self.folder / "remove").unlink(missing_ok=True)
        if not keep_mark:
            self.mark.unlink(missing_ok=True)
        self.pid = self.server.fork(folder=str(self.folder), fault=fault, mark=str(self.mark))
        self.began = _began(self.pid)

    def ask(self, verb: str, study_uid: str, fault: str = "") -> None:
        """Let a process of its own do what a person asks for, and wait for its end."""
        self.mark.unlink(missing_ok=True)
        mark = str(self.mark)
        pid = self.server.fork(folder=str(self.folder), verb=verb, study=study_uid, fault=fault, mark=mark)
        began = _began(pid)
        until(lambda: not _runs(pid, began))

    def is_alive(self) -> bool:
        return _runs(self.pid, self.began)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask the node to stop, and wait until it has."""
        self._signal(signal.SIGTERM)

    def _signal(self, number: int) -> None:
        """Send the node a signal, unless it has ended, and wait until it has."""
        if self.is_alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
            until(lambda: not self.is_alive())

    def send(self, story: Story) -> None:
        """Send everything, as often as it takes until one association brings all of it."""
        while not self._is_taken(story):
            time.sleep(0.02)

    def until_it_listens(self) -> None:
        self._wait(self._is_listening)

    def _is_taken(self, story: Story) -> bool:
        self.until_it_listens()
        answers: dict[Path, int] = {}
        try:
            for answer in send_instances("XRAY", self.address, story.paths, SENDING_SECONDS):
                answers[answer.path] = answer.status
        except (RadnodeError, OSError):
            return False
        finally:
            story.statuses |= answers
        return all(answers.get(path) == _final_status(path) for path in story.paths)

    def _is_listening(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def settle(self, story: Story) -> None:
        """Wait until the study has come to its end."""
        self._wait(lambda: self.state_of(story) == story.ends_as)

    def give_back(self, story: Story) -> None:
        """Send its results back, as a PACS does that forwards everything."""
        with self._database.reading() as session:
            rows = session.scalars(select(Result.path).join(Job).join(Study).where(_is(story), Result.path != ""))
            paths = tuple(self.data / path for path in rows)
        self.send(Story(story.study_uid, paths))

    def be_rejected(self) -> None:
        """Ask for what is rejected, and wait until that is recorded or the fault has acted."""
        self.until_it_listens()
        before = self.count_events("association rejected")
        with RawPeer.connect(self.port) as peer:
            peer.say(request(context(1, VERIFICATION, IMPLICIT), version=2)).hear()
        self._wait(lambda: self.mark.exists() or self.count_events("association rejected") > before)

    def remove(self) -> None:
        """Wait until the files of every study that ended are gone."""
        (self.folder / "remove").touch()
        self._wait(lambda: not (self.folder / "remove").exists())

    @cached_property
    def _database(self) -> Database:
        return Database(self.data / "radnode.db")

    def state_of(self, story: Story) -> str:
        with self._database.reading() as session:
            return str(session.scalar(select(Study.state).where(_is(story))))

    def count_events(self, name: str) -> int:
        with self._database.reading() as session:
            return len(session.scalars(select(Event.id).where(Event.name == name)).all())

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("RADNODE", "127.0.0.1", self.port)

    def _require(self) -> None:
        if not self.is_alive():
            raise NodeGone

    def _wait(self, is_so: Callable[[], bool]) -> None:
        def is_so_or_gone() -> bool:
            self._require()
            return is_so()

        until(is_so_or_gone, self.folder / "node.log")


def _runs(pid: int, began: str) -> bool:
    """Tell whether any thread of a process is left; a dying node holds its lock until the last has gone."""
    return began != "" and _began(pid) == began


def _began(pid: int) -> str:
    """Return when a process began, "" where there is none: its number is soon another's, where there are many."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _is(story: Story) -> Any:
    return Study.study_instance_uid == story.study_uid


def assert_nothing_lost(node: FaultyNode, *stories: Story) -> None:
    """Check everything that was promised, while the node is down: acknowledged instances, results, files."""
    assert not node.is_alive()
    database, archive = Database(node.data / "radnode.db"), Archive(node.data)
    for story in stories:
        _assert_instances(database, archive, story)
        _assert_results(database, node.pacs, story)
    assert {file.state for file in verify_files(database.path, archive)} <= {FileState.WHOLE}
    assert find_differences(database, archive) == Differences((), ())
    database.close()


def _assert_instances(database: Database, archive: Archive, story: Story) -> None:
    """Every acknowledged instance is there, byte for byte as it was first sent."""
    with database.reading() as session:
        query = select(Instance).join(Series).join(Study).where(_is(story))
        kept = {row.sop_instance_uid: row.path for row in session.scalars(query)}
        state = session.scalar(select(Study.state).where(_is(story)))
    for path in story.acknowledged if state != "removed" else ():
        header = dcmread(path, stop_before_pixels=True)
        assert header.SOPInstanceUID in kept, f"{path.name} was acknowledged and is lost"
        if "recoded" not in path.name:
            assert data_set_bytes(archive.path_of(kept[header.SOPInstanceUID])) == data_set_bytes(path), path.name


def _assert_results(database: Database, pacs: Pacs, story: Story) -> None:
    """One job, one set of results, and the same bytes however often one came."""
    with database.reading() as session:
        jobs = session.scalars(select(Job).join(Study).where(_is(story))).all()
        results = session.scalars(select(Result.sop_instance_uid).join(Job).join(Study).where(_is(story))).all()
    taken = pacs.taken[story.study_uid]
    assert len(jobs) == 1 or story.ends_as == "held"
    assert set(taken) <= set(results)
    if story.ends_as == "done":
        assert len(taken) == len(results) == RESULTS_OF_A_JOB
    assert all(len({hashlib.sha256(copy).digest() for copy in copies}) == 1 for copies in taken.values())
