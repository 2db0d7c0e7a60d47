"""Two senders whose studies interleave, and a PACS that is away while results are made."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders import chest_dx, write
from dcmtk import free_port
from pydicom import dcmread
from pydicom.dataset import Dataset
from served import ServedNode
from waiting import PATIENCE_SECONDS, until

from node.database import Database
from node.delivery.scu import Fate, classify, send_instances
from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom
from node.studies.overview import list_deliveries
from node.vocabulary import PeerAddress


@pytest.fixture(scope="module")
def chests() -> list[Dataset]:
    """Two patients with two images each."""
    return [
        chest_dx(draw_phantom(number).picture, bits=12, patient_id=f"P{number % 2}", accession_number=f"A{number % 2}")
        for number in range(4)
    ]


def test_interleaved_studies_of_two_senders_stay_apart(tmp_path: Path, chests: list[Dataset]) -> None:
    home = tmp_path / "node"
    home.mkdir()
    with SmallPacs(tmp_path / "one", "ONE") as one, SmallPacs(tmp_path / "two", "TWO") as two:
        node = ServedNode(home, one)
        (home / "peers.toml").write_text(peer(one.ae_title, one.port) + peer(two.ae_title, two.port))
        rules = (home / "routes.toml").read_text().replace('["PACS"]', '["sender"]')
        (home / "routes.toml").write_text(rules)
        node.start()
        try:
            for chest, sender in zip(chests, (one, two, one, two), strict=True):
                send(node, sender.ae_title, write(chest, tmp_path / "sent"))
            for chest in chests:
                assert node.finished(chest).study.state == "done"
        finally:
            node.stop()
        for pacs, patient in ((one, chests[0].PatientID), (two, chests[1].PatientID)):
            received = [dataset.PatientID for dataset in read(pacs)]
            assert received == [patient] * 10


def test_a_pacs_that_is_away_for_a_while_gets_everything_once_it_is_back(tmp_path: Path, chests: list[Dataset]) -> None:
    home = tmp_path / "node"
    home.mkdir()
    port = free_port()
    with SmallPacs(tmp_path / "here", "HERE") as here:
        node = ServedNode(home, here, "[delivery]\nfirst_retry_seconds = 0.5\nlongest_retry_seconds = 1.0\n")
        (home / "peers.toml").write_text(peer("HERE", here.port) + peer("AWAY", port))
        rules = (home / "routes.toml").read_text().replace('["PACS"]', '["HERE", "AWAY"]')
        (home / "routes.toml").write_text(rules)
        node.start()
        try:
            send(node, "HERE", write(chests[0], tmp_path / "sent"))
            until(lambda: here.wait_for(5, 0.0), home / "node.log")
            database = Database(home / "radnode-data" / "radnode.db")
            assert {line.state for line in list_deliveries(database) if line.destination == "AWAY"} <= {
                "pending",
                "retrying",
            }
            with SmallPacs(tmp_path / "away", "AWAY", port) as away:
                assert node.finished(chests[0]).study.state == "done"
                assert sorted(d.SOPInstanceUID for d in read(away)) == sorted(d.SOPInstanceUID for d in read(here))
        finally:
            node.stop()


def peer(ae_title: str, port: int) -> str:
    return f'[peer.{ae_title}]\nae_title = "{ae_title}"\nhost = "127.0.0.1"\nport = {port}\n'


def send(node: ServedNode, calling: str, path: Path) -> None:
    answers = list(send_instances(calling, PeerAddress("RADNODE", "127.0.0.1", node.port), [path], PATIENCE_SECONDS))
    assert [answer for answer in answers if classify(answer.status) is not Fate.SENT] == []


def read(pacs: SmallPacs) -> list[Dataset]:
    return [dcmread(path) for path in pacs.received()]
