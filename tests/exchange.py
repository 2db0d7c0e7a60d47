"""A served node and an Orthanc in a namespace of their own: studies sent with dcmsend, results fetched back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orthanc import PORT, TITLE, Namespace, namespace, orthanc, require_orthanc
from pydicom import dcmread
from pydicom.dataset import Dataset
from served import wait_until_it_answers
from validators import findings
from waiting import PATIENCE_SECONDS, until

from node.database import Database
from node.studies.overview import StudyDetail, describe_study, list_studies

NODE_PORT = 11112
ENDED = {"done", "unmatched", "attention", "held", "cancelled"}


@dataclass(frozen=True)
class Site:
    """How the node is set up: its rules, and what `node.toml` says beside the quiet time."""

    routes: str
    settings: str = ""


@dataclass(frozen=True)
class Exchange:
    """What was sent, the files of each study under a word for it, and what the node and Orthanc made of it."""

    folder: Path
    sent: Mapping[str, list[Path]]

    @property
    def database(self) -> Database:
        return Database(self.folder / "node" / "radnode-data" / "radnode.db")

    @cached_property
    def fetched(self) -> list[Dataset]:
        """Return all that Orthanc held in the end."""
        return [dcmread(path) for path in sorted((self.folder / "fetched").glob("*.dcm"))]

    def study_uid(self, word: str) -> str:
        return dcmread(self.sent[word][0], stop_before_pixels=True).StudyInstanceUID

    def detail(self, word: str) -> StudyDetail:
        return describe_study(self.database, self.study_uid(word))

    def returned(self, word: str) -> list[Dataset]:
        """Return what Orthanc held of a study."""
        uid = self.study_uid(word)
        return [dataset for dataset in self.fetched if dataset.StudyInstanceUID == uid]


@contextmanager
def exchange(folder: Path, sent: Mapping[str, list[Path]], site: Site, patience_seconds: float) -> Iterator[Exchange]:
    """Send every study to a node, wait until each has ended, and fetch all that Orthanc holds then."""
    require_orthanc()
    home = folder / "node"
    home.mkdir()
    (home / "node.toml").write_text(f"{site.settings}[gathering]\nquiet_seconds = 2.0\n")
    (home / "peers.toml").write_text(f'[peer.PACS]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {PORT}\n')
    (home / "routes.toml").write_text(site.routes)
    made = Exchange(folder, sent)
    with namespace() as network, orthanc(network, folder / "orthanc", NODE_PORT) as pacs:
        command = network.command(sys.executable, "-m", "node", "serve", "--config", home / "node.toml")
        with (folder / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as node:
            try:
                wait_until_it_answers(network, node, NODE_PORT)
                _send_all(network, made, patience_seconds)
                pacs.fetch(folder / "fetched")
                yield made
            finally:
                node.terminate()
                node.wait(PATIENCE_SECONDS)


def faults_of_results(
    shared: Path, folder: Path, made: Exchange, results: Mapping[str, Sequence[Dataset]]
) -> list[list[str]]:
    """Return what the validators call an error in results of studies, written to a folder beside what was sent."""
    for word, datasets in results.items():
        for number, path in enumerate(made.sent[word]):
            shutil.copyfile(path, folder / f"source-{word}-{number:04}.dcm")
        for number, dataset in enumerate(datasets):
            dataset.save_as(folder / f"result-{word}-{number}.dcm")
    return [found for found in findings(shared, folder) if found[0].startswith("result") and found[2] == "ERROR"]


def _send_all(network: Namespace, made: Exchange, patience_seconds: float) -> None:
    """Push the studies with dcmsend, one association for each, and wait until every one has ended."""
    for paths in made.sent.values():
        command = ("dcmsend", "--aetitle", TITLE, "--call", "RADNODE", "127.0.0.1", NODE_PORT, *paths)
        answer = network.run(*command)
        assert answer.returncode == 0, answer.stderr.decode()
    until(
        lambda: {line.state for line in list_studies(made.database)} <= ENDED,
        made.folder / "node.log",
        patience_seconds,
    )
