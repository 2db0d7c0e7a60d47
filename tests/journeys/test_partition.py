"""A network that is cut while results are on their way out and a study is on its way in."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture, write
from dcmtk import data_set_bytes, needs_dcmtk
from faulty import RESULTS_OF_A_JOB, RULES, FaultServer, FaultyNode, Pacs
from orthanc import Namespace
from partition import HERE, THERE, Sites, sites
from programs import Program, program
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from waiting import until

from node.database import Database
from node.studies.overview import list_studies

pytestmark = needs_dcmtk

# An instance on its way in takes more than a minute, the results of one study on their way out eight seconds: however
# busy the machine is, both are to be cut in the middle. The node waits longer for an answer than one result takes.
BITS_IN, BITS_OUT = 200_000, 20_000
TIMEOUT_SECONDS = 6.0
LONG, SHORT = 1000, 64
PACS_PORT = 11113


@pytest.fixture
def network() -> Iterator[Sites]:
    """Sites of this test alone: what a cut leaves behind, a process or a rule, must not meet the next."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to make network namespaces")
    with sites() as made:
        yield made


@pytest.fixture
def server(network: Sites) -> Iterator[FaultServer]:
    server = FaultServer(*network.here.command())
    yield server
    server.stop()


@contextmanager
def store_scp(where: Namespace, folder: Path) -> Iterator[Program]:
    """Run storescp at a site; it keeps a file each time that it gets an instance, and gives up after five seconds."""
    folder.mkdir()
    patience = ("-ts", 5, "-ta", 5, "-td", 5, "-dhl")
    command = where.command("storescp", "--fork", *patience, "+B", "+xa", "+uf", "-od", folder, PACS_PORT)
    with program(command) as running:
        running.until(lambda: where.run("echoscu", "127.0.0.1", PACS_PORT).returncode == 0)
        yield running


def sending(where: Namespace, node: FaultyNode, path: Path) -> subprocess.Popen[bytes]:
    """Begin to send an instance to the node."""
    command = where.command("storescu", "-to", 2, "-xe", "-aec", "RADNODE", HERE, node.port, path)
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@dataclass
class Hospital:
    """A node at the near site, a PACS beside it and one at the far site."""

    node: FaultyNode
    folder: Path
    peers: tuple[Program, ...]

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so, which it never is once a PACS or the node has ended."""

        def is_so_while_all_run() -> object:
            for peer in self.peers:
                peer.require()
            assert self.node.is_alive(), "the node ended"
            return is_so()

        until(is_so_while_all_run, self.node.folder / "node.log")

    def has_all(self, pacs: str) -> bool:
        """Tell whether a PACS has every result, byte for byte, and nothing else."""
        kept = list((self.folder / pacs).iterdir())
        return all(map(is_whole, kept)) and {data_set_bytes(path) for path in kept} == set(self.results())

    def results(self) -> list[bytes]:
        return [data_set_bytes(path) for path in (self.node.data / "results").rglob("*.dcm")]

    def count(self, pacs: str) -> int:
        return len(list((self.folder / pacs).iterdir()))

    def is_arriving(self) -> bool:
        return self.node.count_events("association opened") > self.node.count_events("association closed")

    def states(self) -> list[str]:
        return [line.state for line in list_studies(Database(self.node.data / "radnode.db"))]


@pytest.fixture
def hospital(network: Sites, server: FaultServer, tmp_path: Path) -> Iterator[Hospital]:
    node = FaultyNode(server, tmp_path / "node", Pacs())
    settings = node.settings.replace("[dicom]", f'[dicom]\nhost = "{HERE}"\naccept = "anyone"')
    settings = settings.replace("timeout_seconds = 5.0", f"timeout_seconds = {TIMEOUT_SECONDS}")
    (node.folder / "node.toml").write_text(settings)
    peer = '[peer.{0}]\nae_title = "{0}"\nhost = "{1}"\nport = {2}\n'
    peers = peer.format("NEAR", "127.0.0.1", PACS_PORT) + peer.format("FAR", THERE, PACS_PORT)
    (node.folder / "peers.toml").write_text(peers)
    (node.folder / "routes.toml").write_text(RULES.replace('["PACS"]', '["NEAR", "FAR"]'))
    node.start()
    with store_scp(network.here, tmp_path / "NEAR") as near, store_scp(network.there, tmp_path / "FAR") as far:
        hospital = Hospital(node, tmp_path, (near, far))
        hospital.until(lambda: network.here.run("echoscu", "-aec", "RADNODE", HERE, node.port).returncode == 0)
        yield hospital
        node.kill()


def sent(where: Namespace, node: FaultyNode, path: Path) -> bool:
    """Send an instance and tell whether it was answered with success."""
    with sending(where, node, path) as process:
        return process.wait(60) == 0


def is_whole(path: Path) -> bool:
    try:
        dcmread(path)
    except (InvalidDicomError, EOFError):
        return False
    return True


def image(folder: Path, number: int, side: int) -> Path:
    picture = shaded_picture(side, side, seed=number)
    return write(chest_dx(picture, bits=12, patient_id=f"P{number}", study_uid=f"1.2.826.0.1.{number}"), folder)


@pytest.mark.parametrize("how", ["link down", "packets vanish"])
def test_what_a_cut_network_interrupts_goes_on_afterwards_and_keeps_nobody_else_waiting(
    network: Sites, hospital: Hospital, tmp_path: Path, how: str
) -> None:
    inwards, before, during = (image(tmp_path / "sent", n, side) for n, side in ((1, LONG), (2, SHORT), (3, SHORT)))
    node = hospital.node
    network.slow_down(BITS_IN, BITS_OUT)
    with sending(network.there, node, inwards) as arriving:
        hospital.until(hospital.is_arriving)
        assert sent(network.here, node, before)
        hospital.until(lambda: hospital.count("FAR") > 0)
        network.cut(how)
        assert arriving.poll() is None
        assert hospital.count("FAR") < RESULTS_OF_A_JOB
        assert sent(network.here, node, during)
        hospital.until(lambda: len(hospital.results()) == 2 * RESULTS_OF_A_JOB and hospital.has_all("NEAR"))
        arriving.kill()  # somebody switches the modality off
    hospital.until(lambda: node.count_events("delivery delayed") > 0)
    assert hospital.states() == ["analysing"] * 2
    network.heal(how)
    network.hurry()
    hospital.until(lambda: sent(network.there, node, inwards))
    hospital.until(lambda: hospital.states() == ["done"] * 3)
    hospital.until(lambda: hospital.has_all("FAR") and hospital.has_all("NEAR"))
    assert len(hospital.results()) == 3 * RESULTS_OF_A_JOB == node.count_events("delivery sent") / 2
    kept = sorted(dcmread(path).SOPInstanceUID for path in (node.data / "instances").rglob("*.dcm"))
    assert kept == sorted(dcmread(path).SOPInstanceUID for path in (before, during, inwards))
