"""The steps the doctor prints for Orthanc, carried out in a real one; then the doctor itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture, write
from dcmtk import needs_dcmtk
from orthanc import (
    PORT,
    PROGRAM,
    TITLE,
    Namespace,
    Orthanc,
    _configuration,
    _wait_until_ready,
    namespace,
    require_orthanc,
)
from waiting import until

from node.database import Database
from node.doctor.entry import orthanc_script, orthanc_settings
from node.doctor.made_up import PATIENT_ID, write_made_up_report
from node.studies.overview import StudyLine, list_studies

NODE = ("RADNODE", "127.0.0.1", 11112)

pytestmark = needs_dcmtk


@dataclass(frozen=True)
class Site:
    """A served node and an Orthanc that were told of each other as the doctor says."""

    network: Namespace
    pacs: Orthanc
    folder: Path

    def radnode(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return self.network.run(sys.executable, "-m", "node", *words, "--config", self.folder / "node.toml")

    def send(self, calling: str, path: Path) -> None:
        answer = self.network.run("dcmsend", "--aetitle", calling, "--call", TITLE, "127.0.0.1", PORT, path)
        assert answer.returncode == 0, answer.stderr.decode()

    def received(self) -> list[StudyLine]:
        """What the node has received, by study."""
        return list_studies(Database(self.folder / "radnode-data" / "radnode.db"))


@contextmanager
def told_orthanc(network: Namespace, folder: Path) -> Iterator[Orthanc]:
    """Run an Orthanc with what the doctor says, but for the place of the script and a shorter wait."""
    folder.mkdir()
    script = folder / "radnode.lua"
    script.write_text(orthanc_script(NODE[0]))
    told = orthanc_settings(*NODE) | {"LuaScripts": [str(script)], "StableAge": 1}
    (folder / "orthanc.json").write_text(json.dumps(_configuration(folder, NODE[2]) | told))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(network.command(PROGRAM, folder / "orthanc.json"), stdout=log, stderr=log)
        try:
            _wait_until_ready(Orthanc(network), process)
            yield Orthanc(network)
        finally:
            process.terminate()
            process.wait(30)


@contextmanager
def served(network: Namespace, folder: Path) -> Iterator[None]:
    command = network.command(sys.executable, "-m", "node", "serve", "--config", folder / "node.toml")
    with (folder / "node.log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require_orthanc()
    (tmp_path / "node.toml").write_text("[archive]\nreserve_mb = 1\n")
    (tmp_path / "routes.toml").touch()
    (tmp_path / "peers.toml").write_text(
        f'[peer.PACS]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {PORT}\ndoctor_store = true\n'
    )
    with ExitStack() as stack:
        network = stack.enter_context(namespace())
        pacs = stack.enter_context(told_orthanc(network, tmp_path / "orthanc"))
        stack.enter_context(served(network, tmp_path))
        site = Site(network, pacs, tmp_path)
        until(lambda: "node started" in (tmp_path / "node.log").read_text())
        yield site


def test_an_orthanc_told_as_the_doctor_says_works_in_both_directions(site: Site, tmp_path: Path) -> None:
    image = write(chest_dx(shaded_picture()), tmp_path / "image")
    ours = write_made_up_report(tmp_path / "ours.dcm", NODE[0])
    site.send("RADNODE", ours)
    site.send("MODALITY", image)
    until(lambda: bool(site.received()) and site.pacs.jobs_ended())

    shown = site.radnode("doctor", "--json", "--store")
    checks = {check["name"]: check for check in json.loads(shown.stdout)["checks"]}
    about_the_peer = {name: check["state"] for name, check in checks.items() if name.startswith("peer PACS")}
    assert about_the_peer == dict.fromkeys(about_the_peer, "ok")
    assert len(about_the_peer) == 4
    assert "a radnode answers" in checks["DICOM port"]["found"]
    assert shown.returncode == 0

    (study,) = site.received()
    assert (study.instances, study.patient_id == PATIENT_ID) == (1, False)
    assert len(site.pacs.instances()) == 2
