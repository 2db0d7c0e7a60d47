"""Results on their way over a network that drops, resets, delays and garbles: each arrives once, or waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, needs_dcmtk, store_scp
from delivery.parcels import Scene
from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from toxic import Poison, Toxic, toxic_proxy
from waiting import PATIENCE_SECONDS

from node.delivery.outbox import Outbox
from node.states import DeliveryState
from node.studies.overview import list_deliveries

pytestmark = needs_dcmtk

WAITING, SENT = DeliveryState.RETRYING, DeliveryState.SENT
# In the A-ASSOCIATE PDUs, in the first command, in its data set, and in the middle of them all.
OFFSETS_TO_PEER = (1, 5, 100, 700, 1500, 6000, 14_000)
OFFSETS_FROM_PEER = (1, 60, 300, 500)


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[tuple[Toxic, Path]]:
    """A real storescp behind the proxy, and the folder it keeps what it gets in."""
    folder = tmp_path / "pacs"
    with store_scp(folder) as peer, toxic_proxy(peer.port) as toxic:
        yield toxic, folder


def outbox_to(toxic: Toxic, scene: Scene, timeout_seconds: float = PATIENCE_SECONDS) -> Outbox:
    return scene.outbox(toxic.port, timeout_seconds=timeout_seconds)


def send_until_done(scene: Scene, outbox: Outbox) -> None:
    for _ in range(5):
        scene.side.clock.pass_seconds(60)
        outbox.send_due("PACS")


def assert_each_arrived_once(scene: Scene, folder: Path, tmp_path: Path) -> None:
    """Compare what storescp kept with what lies in the archive, byte for byte."""
    assert scene.states() == {SENT}
    ours = sorted(data_set_bytes(path) for path in (tmp_path / "results").rglob("*.dcm"))
    assert sorted(data_set_bytes(path) for path in folder.iterdir()) == ours
    assert len(ours) == 4


@pytest.mark.parametrize("at", OFFSETS_TO_PEER)
def test_a_connection_that_is_reset_on_the_way_to_the_peer_is_made_again(
    scene: Scene, pacs: tuple[Toxic, Path], tmp_path: Path, at: int
) -> None:
    toxic, folder = pacs
    toxic.to_peer = Poison(reset_at=at)
    outbox = outbox_to(toxic, scene)
    outbox.send_due("PACS")
    assert WAITING in scene.states()
    toxic.heal()
    send_until_done(scene, outbox)
    assert_each_arrived_once(scene, folder, tmp_path)


@pytest.mark.parametrize("at", OFFSETS_FROM_PEER)
def test_an_answer_that_is_lost_in_a_reset_makes_no_second_object(
    scene: Scene, pacs: tuple[Toxic, Path], tmp_path: Path, at: int
) -> None:
    toxic, folder = pacs
    toxic.from_peer = Poison(reset_at=at)
    outbox = outbox_to(toxic, scene)
    outbox.send_due("PACS")
    assert WAITING in scene.states()
    toxic.heal()
    send_until_done(scene, outbox)
    assert_each_arrived_once(scene, folder, tmp_path)


@pytest.mark.parametrize("direction", ["to_peer", "from_peer"])
def test_a_connection_that_goes_silent_is_given_up_after_the_timeout(
    scene: Scene, pacs: tuple[Toxic, Path], tmp_path: Path, direction: str
) -> None:
    toxic, folder = pacs
    setattr(toxic, direction, Poison(swallow_at=600))
    outbox = outbox_to(toxic, scene, timeout_seconds=1.0)
    started = time.monotonic()
    outbox.send_due("PACS")
    assert time.monotonic() - started < PATIENCE_SECONDS / 2
    assert WAITING in scene.states()
    toxic.heal()
    send_until_done(scene, outbox_to(toxic, scene))
    assert_each_arrived_once(scene, folder, tmp_path)


def test_a_line_that_is_slow_but_goes_on_is_waited_for(
    scene: Scene, pacs: tuple[Toxic, Path], tmp_path: Path
) -> None:
    """Each object takes less than the node waits for an answer, all of them more."""
    toxic, folder = pacs
    toxic.to_peer = toxic.from_peer = Poison(delay_seconds=0.1, piece=500)
    started = time.monotonic()
    outbox_to(toxic, scene, timeout_seconds=4.5).send_due("PACS")
    assert time.monotonic() - started > 4.5
    assert toxic.connections == 1
    assert_each_arrived_once(scene, folder, tmp_path)


@pytest.mark.parametrize("at", [0, 2, 4, 80, 200, 420])
def test_an_answer_with_a_flipped_byte_is_never_taken_for_success_of_what_did_not_arrive(
    scene: Scene, pacs: tuple[Toxic, Path], at: int
) -> None:
    toxic, folder = pacs
    toxic.from_peer = Poison(flip_at=at)
    outbox_to(toxic, scene, timeout_seconds=1.0).send_due("PACS")
    arrived = set(uids_of_whole(folder))
    sent = {line.sop_instance_uid for line in list_deliveries(scene.side.database) if line.state == SENT}
    assert sent <= arrived


def uids_of_whole(folder: Path) -> Iterator[str]:
    """Yield the UIDs of what has arrived; storescp may still write what we have given up waiting for."""
    for path in folder.iterdir():
        with suppress(InvalidDicomError, EOFError):
            yield dcmread(path).SOPInstanceUID
