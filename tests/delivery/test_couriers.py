"""Several destinations at once: what one of them does delays no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from dcmtk import free_port
from delivery.parcels import Scene, peer, scp, silent_peer
from pynetdicom import evt
from waiting import PATIENCE_SECONDS, until

from node.delivery.couriers import Couriers
from node.demo.pacs import SmallPacs
from node.states import DeliveryState
from node.studies.overview import list_deliveries


def dispatch_until(couriers: Couriers, is_so: Callable[[], bool]) -> None:
    """Dispatch as the node does until something is so."""

    def is_so_or_dispatched() -> bool:
        if is_so():
            return True
        couriers.dispatch()
        return False

    until(is_so_or_dispatched)


def test_a_destination_that_never_answers_delays_no_other(scene: Scene, tmp_path: Path) -> None:
    scene.also_to("SLOW")
    with SmallPacs(tmp_path / "pacs") as pacs:
        with silent_peer() as silent:
            couriers = Couriers(scene.outbox_to({"SLOW": peer(silent, "SLOW"), "PACS": peer(pacs.port)}))
            dispatch_until(couriers, lambda: scene.states("PACS") == {DeliveryState.SENT})
            assert scene.states("SLOW") == {DeliveryState.PENDING}
        couriers.stop(PATIENCE_SECONDS)  # what waits for an answer hears now that there will be none
        assert scene.states("SLOW") == {DeliveryState.RETRYING}
        assert len(pacs.received()) == 4


def test_a_dead_destination_beside_a_slow_one_beside_a_good_one(scene: Scene, tmp_path: Path) -> None:
    scene.also_to("DEAD")
    release = threading.Event()

    def answer_late(_event: evt.Event) -> int:
        release.wait(PATIENCE_SECONDS)
        return 0x0000

    with scp(answer_late) as slow, SmallPacs(tmp_path / "pacs") as pacs:
        scene.also_to("SLOW")
        peers = {"DEAD": peer(free_port()), "SLOW": peer(slow), "PACS": peer(pacs.port)}
        couriers = Couriers(scene.outbox_to(peers))
        dispatch_until(couriers, lambda: scene.states("PACS") == {DeliveryState.SENT})
        dispatch_until(couriers, lambda: scene.states("DEAD") == {DeliveryState.RETRYING})
        assert scene.states("SLOW") == {DeliveryState.PENDING}
        release.set()
        dispatch_until(couriers, lambda: scene.states("SLOW") == {DeliveryState.SENT})
        couriers.stop(PATIENCE_SECONDS)


def test_one_destination_is_sent_to_over_one_association_at_a_time(scene: Scene) -> None:
    open_now: set[object] = set()
    most = 0

    def count(event: evt.Event) -> int:
        nonlocal most
        open_now.add(event.assoc)
        most = max(most, sum(association.is_established for association in open_now))
        time.sleep(0.1)
        return 0x0000

    with scp(count) as port:
        couriers = Couriers(scene.outbox(port))
        dispatch_until(couriers, lambda: scene.states() == {DeliveryState.SENT})
        couriers.stop(PATIENCE_SECONDS)
    assert most == 1


def test_a_fault_of_our_own_is_on_the_delivery_and_the_loop_goes_on(scene: Scene, tmp_path: Path) -> None:
    broken = next((tmp_path / "results").rglob("*.dcm"))
    broken.unlink()
    broken.mkdir()  # which raises, when it is read, what nobody foresaw
    with SmallPacs(tmp_path / "pacs") as pacs:
        couriers = Couriers(scene.outbox(pacs.port))
        dispatch_until(couriers, lambda: scene.states() == {DeliveryState.RETRYING})
        couriers.stop(PATIENCE_SECONDS)
    answers = {line.answer for line in list_deliveries(scene.side.database)}
    assert answers == {"radnode failed (IsADirectoryError); see its log"}
