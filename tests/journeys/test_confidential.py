"""A patient is named in archive, results and audit trail, and nowhere else; files are for our user alone."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from builders import chest_dx, shaded_picture, write
from certificates import Certificate, issue, make_authority, needs_openssl
from dcmtk import free_port
from pydicom.dataset import Dataset
from served import ServedNode
from waiting import PATIENCE_SECONDS, until

from node.delivery.scu import send_instances
from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom
from node.vocabulary import PeerAddress

TOKENS = ("ZQTOKENNAME", "ZQTOKENID", "19010203")


@dataclass
class Visit:
    """A node that was sent good and bad images of a patient with tell-tale names, and is still running."""

    node: ServedNode
    answers: list[int | None]
    commands: str
    ours: Certificate


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visit]:
    folder = tmp_path_factory.mktemp("confidential")
    home = folder / "node"
    home.mkdir()
    with SmallPacs(folder / "pacs", "PACS") as pacs:
        ours = issue(make_authority(folder), "radnode")
        tls = f'[tls]\nport = {free_port()}\ncertificate = "{ours.file}"\nkey = "{ours.key}"\n'
        node = ServedNode(home, pacs, tls)
        with (home / "peers.toml").open("a") as peers:
            peers.write(f'[peer.SAFE]\nae_title = "SAFE"\nhost = "127.0.0.1"\nport = {free_port()}\n')
            peers.write(f'[peer.SAFE.tls]\nfingerprints = ["{ours.fingerprint}"]\n')
        node.start()
        try:
            good = named(chest_dx(draw_phantom(1).picture, bits=12))
            answers = send(node, *troubles(good, folder))
            until(lambda: node.study(good).study.state in {"done", "held", "attention"}, home / "node.log")
            yield Visit(node, answers, command_lines(node), ours)
        finally:
            node.stop()


def named(dataset: Dataset) -> Dataset:
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = f"{TOKENS[0]}^X", TOKENS[1], TOKENS[2]
    return dataset


def troubles(good: Dataset, folder: Path) -> Iterator[Path]:
    """Yield files: a good one, one in conflict with it, one that lacks its study, one with broken pixels."""
    yield write(good, folder / "good")
    conflict = named(chest_dx(shaded_picture(seed=3), bits=12))
    conflict.StudyInstanceUID, conflict.SeriesInstanceUID = good.StudyInstanceUID, good.SeriesInstanceUID
    conflict.SOPInstanceUID = conflict.file_meta.MediaStorageSOPInstanceUID = good.SOPInstanceUID
    yield write(conflict, folder / "conflict")
    homeless = named(chest_dx(shaded_picture(seed=4)))
    homeless.StudyInstanceUID = ""
    yield write(homeless, folder / "homeless")
    broken = named(chest_dx(shaded_picture(seed=5), study_uid="1.2.77"))
    broken.PixelData = broken.PixelData[: len(broken.PixelData) // 2 // 2 * 2]
    yield write(broken, folder / "broken")


def send(node: ServedNode, *paths: Path) -> list[int | None]:
    address = PeerAddress("RADNODE", "127.0.0.1", node.port)
    return [answer.status for path in paths for answer in send_instances("PACS", address, [path], PATIENCE_SECONDS)]


def command_lines(node: ServedNode) -> str:
    """Return what anybody on the machine may read of the node's and its workers' processes."""
    assert node.process is not None
    pids = [node.process.pid, *node.workers()]
    return "".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


def test_the_troubles_were_troubles(visit: Visit) -> None:
    assert visit.answers[0] == 0x0000
    assert 0x0000 not in visit.answers[1:3]


def test_no_token_of_the_patient_is_in_the_log_or_in_a_command_line(visit: Visit) -> None:
    log = visit.node.log
    assert "instance refused" in log
    for token in TOKENS:
        assert token not in log
        assert token not in visit.commands


@needs_openssl
def test_nothing_of_a_private_key_is_in_the_log_in_a_command_line_or_in_what_is_kept(visit: Visit) -> None:
    secret = visit.ours.key.read_text().splitlines()[1:-1]
    data = visit.node.folder / "radnode-data"
    kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
    assert len(secret) > 1
    for line in secret:
        assert line not in visit.node.log
        assert line not in visit.commands
        assert line.encode() not in kept


def test_the_audit_trail_does_name_the_patient_and_who_sent(visit: Visit) -> None:
    trail = visit.node.folder / "radnode-data" / "audit"

    def text() -> str:
        return "".join(file.read_text() for file in trail.glob("*.xml"))

    until(lambda: TOKENS[1] in text(), visit.node.folder / "node.log")
    assert TOKENS[0] in text()
    assert "Application Start" in text()
    assert 'UserID="PACS"' in text()


def test_nobody_but_our_user_may_read_what_the_node_keeps(visit: Visit) -> None:
    data = visit.node.folder / "radnode-data"
    kept = [data, *data.rglob("*")]
    assert any(path.name == "radnode.db" for path in kept)
    assert any(path.suffix == ".dcm" for path in kept)
    assert [str(path) for path in kept if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []
