"""A node served on loopback for one test, with a small PACS as the peer that sends and receives."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from dcmtk import free_port, is_listening
from model_copies import copy_model
from orthanc import Namespace
from pydicom import dcmread
from pydicom.dataset import Dataset
from waiting import PATIENCE_SECONDS, until

from node.catalog import Model
from node.database import Database
from node.delivery.scu import Fate, classify, send_instances
from node.demo.pacs import SmallPacs
from node.inference.artefact import read_artefact
from node.inference.openvino_network import OpenVinoNetwork
from node.settings import variable_name
from node.studies.overview import StudyDetail, describe_study
from node.vocabulary import PeerAddress

COUNT = variable_name("workers", "count")
SPARE = variable_name("workers", "spare")
BUILD_SECONDS = 400.0
ENDED = {"done", "unmatched", "attention", "held"}

HANGING_PREPARE = '''

_prepare = prepare


def prepare(image):
    """Say that a job has begun, and hang while the test wants it."""
    import pathlib
    import time

    folder = pathlib.Path(__file__).parent
    (folder / "begun").touch()
    while (folder / "hang").exists():
        time.sleep(0.02)
    return _prepare(image)
'''

FAILING_PREPARE = '''

_prepare = prepare


def prepare(image):
    """Crash as a codec or a network might."""
    import os

    if image.pixels.mean() < 0.05:
        os.abort()
    return _prepare(image)
'''


@dataclass
class ServedNode:
    """`radnode serve` as a process that a test may kill and start again."""

    folder: Path
    pacs: SmallPacs
    settings: str = ""
    model: str = "chest_dx_lungs"
    port: int = field(default_factory=free_port)
    environment: dict[str, str] = field(default_factory=dict)
    waits_for_workers: bool = True
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.folder / "peers.toml").write_text(
            f'[peer.PACS]\nae_title = "{self.pacs.ae_title}"\nhost = "127.0.0.1"\nport = {self.pacs.port}\n'
        )
        (self.folder / "routes.toml").write_text(
            f'[[rule]]\nname = "chests"\nmodel = "{self.model}"\ndestination = ["PACS"]\nmodality = ["DX", "CR"]\n'
        )
        self.config.write_text(f"[dicom]\nport = {self.port}\n[gathering]\nquiet_seconds = 0.2\n{self.settings}")

    @property
    def config(self) -> Path:
        return self.folder / "node.toml"

    @property
    def log(self) -> str:
        return (self.folder / "node.log").read_text()

    def start(self) -> None:
        with (self.folder / "node.log").open("ab") as log:
            command = [sys.executable, "-m", "node", "serve", "--config", str(self.config)]
            # A second worker and one that stands by take seconds of a core, which few tests want.
            environment = os.environ | {COUNT: "1", SPARE: "false"} | self.environment
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            self._wait(lambda: is_listening(self.port))
            if self.waits_for_workers:
                # They come when what they serve is converted.
                self._wait(self.workers, BUILD_SECONDS)
        except AssertionError:
            self.stop()
            raise

    def _wait(self, is_so: Callable[[], object], patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Wait until something is so of the node, which it never is once that has ended."""

        def is_so_while_it_runs() -> object:
            assert self.process is not None
            assert self.process.poll() is None, f"the node ended with {self.process.returncode}:\n{self.log[-3000:]}"
            return is_so()

        until(is_so_while_it_runs, self.folder / "node.log", patience_seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send the process a signal and return its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE_SECONDS)
        finally:
            self.process.kill()  # one that does not stop must not meet the next test

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        return [pid for pid in self.children() if "worker" in command_line(pid)]

    def builders(self) -> list[int]:
        """Return the process ids of what converts networks, one at most."""
        return [pid for pid in self.children() if "building" in command_line(pid)]

    def children(self) -> list[int]:
        """Return the process ids of all that the node started, from whichever thread, and that still runs."""
        assert self.process is not None
        return children_of(self.process.pid)

    def send(self, *paths: Path) -> None:
        address = PeerAddress("RADNODE", "127.0.0.1", self.port)
        answers = list(send_instances(self.pacs.ae_title, address, paths, PATIENCE_SECONDS))
        assert [answer.text for answer in answers if classify(answer.status) is not Fate.SENT] == []

    def study(self, dataset: Dataset) -> StudyDetail:
        database = Database(self.folder / "radnode-data" / "radnode.db")
        return describe_study(database, dataset.StudyInstanceUID)

    def finished(self, dataset: Dataset) -> StudyDetail:
        """Wait until a study has ended one way or another, and return it."""
        until(lambda: self.study(dataset).study.state in ENDED, self.folder / "node.log")
        return self.study(dataset)

    def returned(self) -> list[Dataset]:
        return [dcmread(path) for path in self.pacs.received()]


def children_of(pid: int) -> list[int]:
    """Return the process ids of all that a process started, from whichever of its threads."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
            found += map(int, thread.read_text().split())
    return found


def command_line(pid: int) -> list[str]:
    """Return the words that a process was started with; none of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


def network_of(model: Model) -> OpenVinoNetwork:
    """Return the network that the nodes of this session serve a model with, once one of them has converted it."""
    folder = Path(os.environ[variable_name("workers", "artefacts")])
    return OpenVinoNetwork(read_artefact(folder, model))


def memory_map(pid: int) -> str:
    """Return the files that lie in the memory of a process, by line."""
    return Path(f"/proc/{pid}/maps").read_text()


def hanging_model(folder: Path) -> Path:
    """Add a model folder whose jobs hang while the file `hang` lies in it; return that folder."""
    model = copy_model("chest_dx_lungs", folder / "models" / "chest_dx_hanging")
    card = model / "model.toml"
    card.write_text(card.read_text().replace('name = "chest_dx_lungs"', 'name = "chest_dx_hanging"'))
    preprocess = model / "preprocess.py"
    preprocess.write_text(preprocess.read_text() + HANGING_PREPARE)
    (model / "hang").touch()
    return model


def failing_model(folder: Path) -> Path:
    """Add a model folder that takes its whole process down where a picture is as good as black; return it."""
    model = copy_model("chest_dx_lungs", folder / "models" / "chest_dx_failing")
    card = model / "model.toml"
    card.write_text(card.read_text().replace('name = "chest_dx_lungs"', 'name = "chest_dx_failing"'))
    preprocess = model / "preprocess.py"
    preprocess.write_text(preprocess.read_text() + FAILING_PREPARE)
    return model


def wait_until_it_answers(network: Namespace, process: subprocess.Popen[bytes], port: int) -> None:
    """Return once a node in a namespace answers C-ECHO to dcmtk."""

    def answers() -> bool:
        assert process.poll() is None, f"the node ended at once, with {process.returncode}; see its log"
        echo = network.run("echoscu", "--aetitle", "ORTHANC", "--call", "RADNODE", "127.0.0.1", port)
        return echo.returncode == 0

    until(answers)


def are_gone(pids: Sequence[int]) -> bool:
    """Tell whether none of these processes runs any more."""
    return not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"
