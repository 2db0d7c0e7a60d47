"""A served node keeps its word on storage commitment with real peers, and through kills."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from committing import ASKER, Asker, ask, asker, reference_to, request_for
from dcmtk import free_port, needs_dcmtk
from keeping import chest
from orthanc import HTTP_PORT, PORT, TITLE, Namespace, Orthanc, namespace, orthanc, require_orthanc
from pydicom.dataset import Dataset
from served import ServedNode, wait_until_it_answers
from waiting import PATIENCE_SECONDS, until

from node.demo.pacs import SmallPacs
from node.faults import FAULT_VARIABLE, MARK_VARIABLE
from node.vocabulary import CommitmentReport, InstanceReference, PeerAddress

UNKNOWN = InstanceReference("1.2", "1.2.3")
SETTINGS = "[delivery]\nfirst_retry_seconds = 0.3\nlongest_retry_seconds = 1.0\n"
HTTP = f"http://127.0.0.1:{HTTP_PORT}"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[ServedNode]:
    with SmallPacs(tmp_path / "pacs", "PACS") as pacs:
        home = tmp_path / "node"
        home.mkdir()
        served = ServedNode(home, pacs, SETTINGS, port=free_port())
        (home / "routes.toml").write_text("")
        yield served
        if served.process is not None and served.process.poll() is None:
            served.stop()


def start(node: ServedNode, peer: Asker) -> PeerAddress:
    """Start the node and let it know the peer."""
    (node.folder / "peers.toml").write_text(
        f'[peer.asker]\nae_title = "{ASKER}"\nhost = "127.0.0.1"\nport = {peer.port}\n'
    )
    node.start()
    return PeerAddress("RADNODE", "127.0.0.1", node.port)


def send(node: ServedNode, number: int) -> Dataset:
    """Send the node a chest X-ray and return it."""
    dataset = chest(number)
    path = node.folder / f"sent-{number}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    node.send(path)
    return dataset


def spoil(data: Path) -> None:
    """Change the last byte of the one instance that was received."""
    (path,) = (data / "instances").rglob("*.dcm")
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes((content[-1] ^ 1,)))


def test_a_peer_that_asks_hears_first_success_and_after_a_bit_flips_failure(node: ServedNode) -> None:
    with asker(0x0110) as peer:
        address = start(node, peer)
        sent = send(node, 1)
        assert ask(address, request_for(sent)) == (0x0000, "")
        until(lambda: len(peer.reports) == 2, node.folder / "node.log")  # the first was refused
        spoil(node.folder / "radnode-data")
        assert ask(address, request_for(sent, UNKNOWN, transaction_uid="1.2.78")) == (0x0000, "")
        until(lambda: len(peer.reports) == 3, node.folder / "node.log")
        assert peer.reports[:2] == [CommitmentReport("1.2.77", (reference_to(sent),), {})] * 2
        assert peer.reports[2].failed == {reference_to(sent): 0x0110, UNKNOWN: 0x0112}
        assert "error file changed" in node.log
        assert str(sent.PatientName) not in node.log


def test_a_stranger_is_told_to_be_added(node: ServedNode) -> None:
    with asker() as peer:
        status, comment = ask(start(node, peer), request_for(UNKNOWN), "STRANGER")
    assert status == 0x0124
    assert comment.startswith("add STRANGER to peers.toml")


# The peer is pynetdicom's, one of whose threads breaks when the node dies while the peer says something.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "point",
    [
        "commitment received",
        "commitment received committed",
        "commitment judged",
        "commitment judged committed",
        "delivery answered",
        "commitment reported",
        "commitment reported committed",
    ],
)
def test_a_node_that_is_killed_on_the_way_reports_all_the_same(node: ServedNode, point: str) -> None:
    mark = node.folder / "mark"
    node.environment = {FAULT_VARIABLE: f"{point}:kill", MARK_VARIABLE: str(mark)}
    with asker() as peer:
        address = start(node, peer)
        sent = send(node, 1)
        request = request_for(sent)
        was_answered = False
        try:
            was_answered = ask(address, request) == (0x0000, "")
        except (AttributeError, RuntimeError):  # pynetdicom's empty answer
            assert point.startswith("commitment received")
        assert node.process is not None
        node.process.wait(PATIENCE_SECONDS)
        assert mark.exists()
        node.start()
        if not was_answered:
            assert ask(address, request) == (0x0000, "")
        until(lambda: "commitment reported" in node.log or bool(peer.reports), node.folder / "node.log")
        assert set(map(str, peer.reports)) == {str(CommitmentReport("1.2.77", (reference_to(sent),), {}))}
        assert len(peer.reports) <= 2


@dataclass(frozen=True)
class Site:
    """An Orthanc that forwards what it gets to a node in the same namespace, and knows its data folder."""

    network: Namespace
    pacs: Orthanc
    data: Path

    def ask(self, *instances: str) -> str:
        """Ask the node for commitment over Orthanc's REST interface; return the transaction."""
        resources = json.dumps({"Resources": instances})
        answer = self.network.run(
            "curl", "--fail", "--silent", "--noproxy", "*", f"{HTTP}/modalities/radnode/storage-commitment",
            "-d", resources,
        )  # fmt: skip
        assert answer.returncode == 0, answer
        return json.loads(answer.stdout)["ID"]

    def outcome(self, transaction: str) -> dict:
        """Wait for the report and return what Orthanc makes of it."""
        until(lambda: self._commitment(transaction)["Status"] != "Pending")
        return self._commitment(transaction)

    def _commitment(self, transaction: str) -> dict:
        return json.loads(self.pacs.get(f"/storage-commitment/{transaction}"))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    require_orthanc()
    home = tmp_path / "node"
    home.mkdir()
    (home / "node.toml").write_text(f"[dicom]\nport = 11112\n{SETTINGS}")
    (home / "peers.toml").write_text(f'[peer.orthanc]\nae_title = "{TITLE}"\nhost = "127.0.0.1"\nport = {PORT}\n')
    (home / "routes.toml").write_text("")
    with (
        namespace() as network,
        orthanc(network, tmp_path / "pacs", 11112) as pacs,
        (home / "node.log").open("wb") as log,
        subprocess.Popen(
            network.command(sys.executable, "-m", "node", "serve", "--config", home / "node.toml"),
            stdout=log, stderr=log,
        ) as process,
    ):  # fmt: skip
        try:
            wait_until_it_answers(network, process, 11112)
            yield Site(network, pacs, home / "radnode-data")
        finally:
            process.terminate()


@needs_dcmtk
def test_orthanc_hears_that_what_it_sent_is_kept_and_after_a_bit_flips_that_it_is_not(
    site: Site, tmp_path: Path
) -> None:
    path = tmp_path / "sent.dcm"
    chest(1).save_as(path, enforce_file_format=True)
    sent = site.network.run("dcmsend", "--aetitle", "XRAY", "--call", TITLE, "127.0.0.1", PORT, path)
    assert sent.returncode == 0, sent.stderr
    until(lambda: len(list((site.data / "instances").rglob("*.dcm"))) == 1, tmp_path / "node" / "node.log")
    (instance,) = site.pacs.instances()
    kept = site.outcome(site.ask(instance))
    assert (kept["Status"], len(kept["Success"]), kept["Failures"]) == ("Success", 1, [])
    assert kept["RemoteAET"] == "RADNODE"
    spoil(site.data)
    spoiled = site.outcome(site.ask(instance))
    assert (spoiled["Status"], spoiled["Failures"][0]["FailureReason"]) == ("Failure", 0x0110)
    (path,) = (site.data / "instances").rglob("*.dcm")
    path.unlink()
    assert site.outcome(site.ask(instance))["Failures"][0]["FailureReason"] == 0x0110
