"""The doctor as a person calls it: what stands in its report, and its exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from conftest import REPOSITORY
from dcmtk import free_port
from ending import end_entity
from pynetdicom import AE
from receiving import running
from served import children_of
from waiting import until

from node.cli import main
from node.demo.pacs import VERIFICATION, SmallPacs
from node.doctor.entry import dcm4chee_steps, local_address_towards, orthanc_steps, pacs_entries
from node.doctor.health import main as check_health
from node.peers import Peer
from node.settings import DicomSection, Settings

EXAMPLE = ("RADNODE", "10.1.2.3", 11112)


def doctor(config: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", "--config", str(config), *words])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A new node on a free port, with one peer that is not there."""
    assert CliRunner().invoke(main, ["init", str(tmp_path)]).exit_code == 0
    (tmp_path / "node.toml").write_text(f"[dicom]\nport = {free_port()}\n")
    name_peer(tmp_path, free_port())
    return tmp_path / "node.toml"


@contextmanager
def scp(**limits: object) -> Iterator[int]:
    """Run an SCP that answers C-ECHO within limits, and give its port."""
    ae = AE("RADNODE")
    ae.add_supported_context(VERIFICATION)
    for name, value in limits.items():
        setattr(ae, name, value)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    try:
        yield server.server_address[1]
    finally:
        end_entity(ae)


def name_peer(folder: Path, port: int) -> None:
    (folder / "peers.toml").write_text(f'[peer.PACS]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n')


def test_a_node_whose_pacs_answers_is_in_order(config: Path, tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs", "PACS") as pacs:
        name_peer(tmp_path, pacs.port)
        shown = doctor(config, "--json")
    checks = {check["name"]: check for check in json.loads(shown.stdout)["checks"]}
    assert [check for check in checks.values() if check["state"] == "error"] == []
    assert shown.exit_code == 0
    assert checks["TensorFlow"]["found"].startswith("TensorFlow 2.")
    assert not (tmp_path / "radnode-data").exists()


def test_an_error_gives_exit_code_1_and_says_what_to_do(config: Path) -> None:
    shown = doctor(config)
    assert shown.exit_code == 1
    assert "→ nothing listens on 127.0.0.1" in shown.output
    assert "AE title RADNODE   host 127.0.0.1   port" in shown.output
    assert "1 error" in shown.output


def test_settings_that_cannot_be_read_are_reported_like_everything_else(config: Path) -> None:
    config.write_text('[dicom]\nport = "here"\n')
    shown = doctor(config, "--json")
    report = json.loads(shown.stdout)
    assert shown.exit_code == 1
    assert [check["name"] for check in report["checks"] if check["state"] == "error"] == ["node.toml"]
    assert report["enter_in_pacs"] == []


def test_a_pacs_on_another_machine_is_told_the_address_it_sees_us_at() -> None:
    peers = {
        "NEAR": Peer(ae_title="NEAR", host="127.0.0.1", port=104),
        "FAR": Peer(ae_title="FAR", host="192.0.2.1", port=104),
    }
    near, far = pacs_entries(Settings(dicom=DicomSection(host="0.0.0.0"), peers=peers))
    assert near.host == "127.0.0.1"
    assert far.host == local_address_towards("192.0.2.1") != "127.0.0.1"
    bound = pacs_entries(Settings(dicom=DicomSection(host="127.0.0.1"), peers=peers))
    assert [entry.host for entry in bound] == ["127.0.0.1", far.host]


@pytest.mark.parametrize(("name", "steps"), [("orthanc", orthanc_steps), ("dcm4chee", dcm4chee_steps)])
def test_the_document_of_each_pacs_tells_the_steps_the_doctor_tells(name: str, steps: object) -> None:
    document = (REPOSITORY / "docs" / f"pacs-{name}.md").read_text()
    missing = [step for step in steps(*EXAMPLE) if " ".join(step.split()) not in " ".join(document.split())]
    assert missing == []


def test_the_health_check_answers_for_a_node_that_runs_and_for_no_other(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    for name in ("peers.toml", "routes.toml"):
        (tmp_path / name).touch()
    (tmp_path / "data").mkdir()
    with running(tmp_path / "data") as node:
        config.write_text(f'[dicom]\nhost = "0.0.0.0"\nport = {node.address.port}\n')
        assert check_health([str(config)]) == 0
    assert check_health([str(config)]) == 1
    assert check_health([]) == 2


def test_a_node_that_lets_only_its_peers_in_is_healthy(tmp_path: Path) -> None:
    for name in ("peers.toml", "routes.toml"):
        (tmp_path / name).touch()
    with scp(require_calling_aet=["PACS"]) as port:
        (tmp_path / "node.toml").write_text(f"[dicom]\nport = {port}\n")
        assert check_health([str(tmp_path / "node.toml")]) == 0


def test_serve_writes_json_when_asked_to_in_the_node_and_in_its_workers(config: Path) -> None:
    command = [sys.executable, "-m", "node", "serve", "--config", str(config), "--log-format", "json"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            started: dict[str, object] = {}
            while started.get("event") != "node started":
                started = json.loads(process.stderr.readline())
            until(lambda: any(map(writes_json, children_of(process.pid))))
        finally:
            process.terminate()
        rest = [json.loads(line)["event"] for line in process.stderr.read().splitlines()]
    assert "node stopped" in rest


def writes_json(pid: int) -> bool:
    """Tell whether a process is told to; before its program is executed it is a copy of the node, which is not."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return b"RADNODE_LOG_FORMAT=json" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False
