"""The disk fills up or the database is held while instances arrive: nothing is torn, and all recovers by itself."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from dcmtk import data_set_bytes
from keeping import chest
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.presentation import build_context
from receiving import Node, running, send
from tiny_disk import fill, tiny_disk

from node.database.inspection import find_faults
from node.database.opening import PATIENCE_SECONDS
from node.delivery.scu import StoreAnswer
from node.studies.reconciliation import Differences, find_differences


def chests(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    paths = []
    for number in range(count):
        paths.append(folder / f"{number}.dcm")
        chest(number).save_as(paths[-1], enforce_file_format=True)
    return paths


def assert_sound(node: Node, root: Path, acknowledged: list[Path]) -> None:
    kept = node.instances
    for path in acknowledged:
        assert data_set_bytes(kept[dcmread(path, stop_before_pixels=True).SOPInstanceUID]) == data_set_bytes(path)
    assert find_differences(node.database, node.archive) == Differences((), ())
    assert find_faults(root / "node.db") == []
    assert node.files("incoming") == []


@pytest.mark.parametrize("leave_kilobytes", [0, 8, 24, 48, 96, 200])
def test_database_and_files_on_a_disk_that_fills_up_refuse_for_now_and_recover(
    tmp_path: Path, leave_kilobytes: int
) -> None:
    paths = chests(tmp_path / "sent", 30)
    with tiny_disk(tmp_path / "tiny") as folder, running(folder, is_journaled=False) as node:
        assert [answer.status for answer in send(node, paths[0])] == [0x0000]
        assert node.endings() == ["released"]  # so that nothing is written while the disk is being filled
        ballast = fill(folder, leave_bytes=leave_kilobytes * 1024)
        answers = try_to_send(node, paths)
        assert {answer.status for answer in answers} <= {0x0000, 0xA700}
        assert len([answer for answer in answers if answer.status == 0x0000]) < len(paths)
        ballast.unlink()
        assert [answer.status for answer in send(node, *paths)] == [0x0000] * len(paths)
        unrecorded = "rejected: the association could not be recorded; see the log"
        assert set(node.endings()) <= {"released", "aborted", "connection lost", unrecorded}
        assert_sound(node, folder, paths)


def try_to_send(node: Node, paths: list[Path]) -> list[StoreAnswer]:
    """Return the answers there were; where not even an association can be recorded there are none."""
    try:
        return send(node, *paths)
    except Exception:  # noqa: BLE001 - the node had no room to let the sender in
        return []


@pytest.mark.long
def test_a_database_held_for_a_minute_refuses_for_now_and_recovers(tmp_path: Path) -> None:
    (path,) = chests(tmp_path / "sent", 1)
    with running(tmp_path, busy_seconds=PATIENCE_SECONDS) as node:
        context = build_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
        sender = AE("XRAY").associate("127.0.0.1", node.address.port, [context])
        with sqlite3.connect(tmp_path / "node.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            held_until = time.monotonic() + 60
            while time.monotonic() < held_until:
                assert sender.send_c_store(path).Status == 0xA700
            other.execute("ROLLBACK")
        assert sender.send_c_store(path).Status == 0x0000
        sender.release()
        assert_sound(node, tmp_path, [path])


def test_a_database_held_while_four_senders_wait_refuses_them_for_now_and_recovers(tmp_path: Path) -> None:
    paths = chests(tmp_path / "sent", 4)
    with running(tmp_path, busy_seconds=0.5) as node:
        context = build_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
        senders = [AE("XRAY").associate("127.0.0.1", node.address.port, [context]) for _ in paths]
        with sqlite3.connect(tmp_path / "node.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            with ThreadPoolExecutor() as pool:
                answers = list(pool.map(lambda sender, path: sender.send_c_store(path).Status, senders, paths))
            other.execute("ROLLBACK")
        assert answers == [0xA700] * 4
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda sender, path: sender.send_c_store(path).Status, senders, paths))
        assert answers == [0x0000] * 4
        for sender in senders:
            sender.release()
        assert_sound(node, tmp_path, paths)
