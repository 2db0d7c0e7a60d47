"""The index is built again from the files alone, and what files cannot tell waits for a person."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from delivery.parcels import make_scene
from keeping import Keeper, chest, flip_bytes, keeper, radnode
from pydicom import dcmread

from node.database.inspection import kept_files
from node.states import StudyState
from node.studies.overview import describe_study, list_studies
from node.studies.reconciliation import Reconciled


def repaired(folder: Path) -> dict[str, int]:
    result = radnode(folder, "repair", "--json")
    assert result.exit_code == 0, result.output
    counts: dict[str, int] = json.loads(result.stdout)
    return {name: count for name, count in counts.items() if count}


def damage(folder: Path, how: str) -> None:
    database = folder / "radnode.db"
    match how:
        case "lost":
            for path in folder.glob("radnode.db*"):
                path.unlink()
        case "bytes flipped":
            flip_bytes(database, seed=3, share=0.05)
        case "garbage":
            database.write_bytes(b"\0garbage" * 4096)


@pytest.fixture
def node(tmp_path: Path) -> Keeper:
    return keeper(tmp_path)


@pytest.mark.parametrize("how", ["lost", "bytes flipped", "garbage"])
def test_every_instance_is_in_the_index_again(node: Keeper, tmp_path: Path, how: str) -> None:
    paths = {node.bring(chest(number)).path for number in range(1, 6)}
    before = {line.study_instance_uid: line.patient_id for line in list_studies(node.database)}
    node.database.close()
    damage(tmp_path, how)
    assert repaired(tmp_path) == {"adopted": 5}
    again = keeper(tmp_path)
    assert set(again.rows()) == paths
    assert {line.study_instance_uid: line.patient_id for line in list_studies(again.database)} == before
    assert len(list(tmp_path.glob("radnode.db.damaged-*Z"))) == (how != "lost")
    assert again.reconciliation().run() == Reconciled()


def test_a_log_that_was_deleted_costs_rows_that_come_back(node: Keeper, tmp_path: Path) -> None:
    paths = {node.bring(chest(number)).path for number in range(1, 4)}
    (tmp_path / "radnode.db-wal").unlink()
    (tmp_path / "radnode.db-shm").unlink(missing_ok=True)
    repaired(tmp_path)
    assert set(kept_files(tmp_path / "radnode.db")) == paths


def test_a_database_that_is_whole_stays_and_is_completed(node: Keeper, tmp_path: Path) -> None:
    node.bring(chest(1), calling="XRAY")
    node.place(chest(2))
    node.database.close()
    assert repaired(tmp_path) == {"adopted": 1}
    assert sorted(keeper(tmp_path).rows().values()) == ["", "XRAY"]
    assert repaired(tmp_path) == {}


def test_a_study_that_was_analysed_before_is_held_and_nothing_of_it_is_sent_twice(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    (result, *_) = sorted((tmp_path / "results").rglob("*.dcm"))
    count = len(list((tmp_path / "results").rglob("*.dcm")))
    returned = keeper(tmp_path).place(dcmread(result))
    scene.side.database.close()
    damage(tmp_path, "lost")
    assert repaired(tmp_path) == {"adopted": 1, "quarantined": count + 1, "held": 1}
    again = keeper(tmp_path)
    detail = describe_study(again.database, scene.study_uid)
    assert detail.study.state == StudyState.HELD
    assert "results were made of it before" in detail.study.reason
    assert returned.path not in again.rows()
    assert again.reconciliation().run() == Reconciled()


def test_a_row_that_lost_its_file_is_told(node: Keeper, tmp_path: Path) -> None:
    node.archive.path_of(node.bring(chest(1)).path).unlink()
    assert repaired(tmp_path) == {"missing": 1}
