"""The outbox towards real peers: one that takes everything, one that is down, one that refuses."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom import dcmread
from pynetdicom import AE, AllStoragePresentationContexts, evt
from rows import Gathering, gathering
from sqlalchemy import select

from node.archive import AnnouncedInstance, Archive
from node.catalog import sct
from node.database import Delivery
from node.delivery.outbox import Outbox, resend
from node.demo.pacs import SmallPacs
from node.jobs.queue import StoredResult
from node.results.encode import encode_results
from node.results.request import NodeDevice, ResultRequest
from node.settings import Peer
from node.states import DeliveryState
from node.studies.overview import describe_study, list_deliveries
from node.vocabulary import Finding, ModelIdentity

MODEL = ModelIdentity("chest_dx_lungs", "Chest X-ray lung segmentation", "1", "0" * 64)


@dataclass
class Scene:
    """A finished job whose results wait in the outbox for the peer PACS."""

    side: Gathering
    archive: Archive
    source: Path
    study_uid: str

    def outbox(self, port: int, **limits: float) -> Outbox:
        delivery = self.side.settings.delivery.model_copy(update={"timeout_seconds": 5.0, **limits})
        peers = {"PACS": Peer(ae_title="PACS", host="127.0.0.1", port=port)}
        settings = self.side.settings.model_copy(update={"delivery": delivery, "peers": peers})
        return Outbox(self.side.database, self.archive, settings, self.side.clock, random.Random(1))

    def states(self) -> set[str]:
        return {line.state for line in list_deliveries(self.side.database)}

    def study_state(self) -> str:
        return describe_study(self.side.database, self.study_uid).study.state


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    side = gathering(tmp_path)
    archive = Archive(tmp_path)
    dataset = chest_dx(shaded_picture())
    encoded = _encoded(dataset, tmp_path)
    announced = AnnouncedInstance(
        dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID
    )
    kept = archive.keep(announced, encoded)
    side.bring(kept)
    side.complete()
    claim = side.queue.claim("worker-1")
    assert claim is not None
    mask = np.zeros((dataset.Rows, dataset.Columns), bool)
    mask[10:30, 10:20] = True
    finding = Finding("lung", "Lung", sct("AnatomicalStructure"), sct("Lung"), None, (230, 120, 60), mask)
    request = ResultRequest(
        sources=(archive.read(kept.path),), findings=(finding,), remarks=(), model=MODEL, inputs_digest="1" * 64,
        pinned_at=datetime(2026, 1, 2, tzinfo=UTC), device=NodeDevice("RADNODE", "0"),
    )  # fmt: skip
    results = [
        StoredResult(str(r.kind), r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid,
                     *archive.store_result(r.encoded))
        for r in encode_results(request)
    ]  # fmt: skip
    side.queue.finish(claim, results)
    return Scene(side, archive, archive.path_of(kept.path), dataset.StudyInstanceUID)


def _encoded(dataset, folder: Path) -> bytes:
    path = folder / "source.dcm"
    dataset.save_as(path, enforce_file_format=True)
    content = path.read_bytes()
    meta_length = int.from_bytes(content[140:144], "little")
    return content[144 + meta_length :]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def refusing() -> Callable[[int], int]:
    """Start peers that answer every C-STORE with one status; give the port."""
    servers = []

    def start(status: int) -> int:
        entity = AE("PACS")
        entity.supported_contexts = AllStoragePresentationContexts
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: status)]
        )
        servers.append(server)
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()


def test_what_is_due_is_sent_once_and_the_study_is_done(scene: Scene, tmp_path: Path) -> None:
    with SmallPacs(tmp_path / "pacs") as pacs:
        outbox = scene.outbox(pacs.port)
        assert outbox.send_due() == 4
        assert outbox.send_due() == 0
        received = {dcmread(path).SOPInstanceUID for path in pacs.received()}
    sent = {line.sop_instance_uid for line in list_deliveries(scene.side.database)}
    assert received == sent
    assert scene.states() == {DeliveryState.SENT}
    assert scene.study_state() == "done"


def test_a_destination_that_is_down_gets_everything_when_it_is_back(
    scene: Scene, tmp_path: Path, closed_port: int
) -> None:
    outbox = scene.outbox(closed_port)
    assert outbox.send_due() == 4
    assert scene.states() == {DeliveryState.RETRYING}
    assert outbox.send_due() == 0
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.side.clock.pass_seconds(60)
        scene.outbox(pacs.port).send_due()
        assert len(pacs.received()) == 4
    assert scene.study_state() == "done"


def test_the_wait_between_attempts_doubles_up_to_the_longest(scene: Scene, closed_port: int) -> None:
    outbox = scene.outbox(closed_port, first_retry_seconds=10.0, longest_retry_seconds=40.0)
    waits = []
    for _ in range(5):
        outbox.send_due()
        with scene.side.database.reading() as session:
            due = session.scalars(select(Delivery.due_at)).first()
        assert due is not None
        waits.append((due - scene.side.clock.now()).total_seconds())
        scene.side.clock.pass_seconds(50)
    for wait, expected in zip(waits, [10, 20, 40, 40, 40], strict=True):
        assert 0.8 * expected <= wait <= 1.2 * expected


def test_a_delivery_is_dead_after_the_attempts_allowed_and_asks_for_attention(
    scene: Scene, closed_port: int
) -> None:
    outbox = scene.outbox(closed_port, attempts=2)
    outbox.send_due()
    scene.side.clock.pass_seconds(60)
    outbox.send_due()
    assert scene.states() == {DeliveryState.DEAD}
    assert scene.study_state() == "attention"
    assert "127.0.0.1" in list_deliveries(scene.side.database)[0].answer


def test_a_dead_delivery_is_sent_again_by_command_with_the_same_bytes(
    scene: Scene, tmp_path: Path, closed_port: int
) -> None:
    scene.outbox(closed_port, attempts=1).send_due()
    numbers = [line.delivery for line in list_deliveries(scene.side.database)]
    assert resend(scene.side.database, scene.side.clock, numbers) == 4
    assert resend(scene.side.database, scene.side.clock, numbers) == 0
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due()
        arrived = {dcmread(path).SOPInstanceUID: dcmread(path) for path in pacs.received()}
    kept = {dcmread(p).SOPInstanceUID: dcmread(p) for p in (tmp_path / "results").rglob("*.dcm")}
    assert arrived == kept
    assert scene.study_state() == "done"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (0x0000, DeliveryState.SENT),
        (0xB000, DeliveryState.SENT),
        (0xA700, DeliveryState.RETRYING),
        (0xA900, DeliveryState.DEAD),
        (0xC123, DeliveryState.DEAD),
        (0x0122, DeliveryState.DEAD),
    ],
)
def test_each_class_of_status_has_its_fate(
    scene: Scene, refusing: Callable[[int], int], status: int, state: DeliveryState
) -> None:
    scene.outbox(refusing(status)).send_due()
    assert scene.states() == {state}
    assert list_deliveries(scene.side.database)[0].answer.startswith(f"{status:04X}")


def test_a_sender_that_is_no_known_peer_is_named_and_nothing_is_lost(scene: Scene, closed_port: int) -> None:
    with scene.side.database.writing() as session:
        for delivery in session.scalars(select(Delivery)):
            delivery.destination = "sender:STRANGER"
    scene.outbox(closed_port).send_due()
    line = list_deliveries(scene.side.database)[0]
    assert line.state == DeliveryState.DEAD
    assert "no peer for 'sender:STRANGER' in peers.toml" in line.answer


def test_a_result_that_names_another_patient_is_never_sent(scene: Scene, tmp_path: Path) -> None:
    with scene.side.database.writing() as session:
        path = scene.archive.path_of(session.scalars(select(Delivery)).first().result.path)
    result = dcmread(path)
    result.PatientID = "SOMEONE-ELSE"
    path.chmod(0o600)
    result.save_as(path)
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due()
        assert result.SOPInstanceUID not in {dcmread(p).SOPInstanceUID for p in pacs.received()}
    assert scene.study_state() == "held"


def test_an_image_that_was_exchanged_on_disk_stops_its_results(scene: Scene, tmp_path: Path) -> None:
    source = dcmread(scene.source)
    source.PatientID = "SOMEONE-ELSE"
    scene.source.chmod(0o600)
    source.save_as(scene.source)
    with SmallPacs(tmp_path / "pacs") as pacs:
        scene.outbox(pacs.port).send_due()
        assert pacs.received() == []
    assert scene.study_state() == "held"


def test_results_of_a_held_study_stay_where_they_are(scene: Scene, tmp_path: Path) -> None:
    second = chest_dx(shaded_picture(seed=2), study_uid=scene.study_uid, patient_id="OTHER")
    announced = AnnouncedInstance(second.SOPClassUID, second.SOPInstanceUID, second.file_meta.TransferSyntaxUID)
    scene.side.bring(scene.archive.keep(announced, _encoded(second, tmp_path)))
    with SmallPacs(tmp_path / "pacs") as pacs:
        assert scene.outbox(pacs.port).send_due() == 0
        assert pacs.received() == []

