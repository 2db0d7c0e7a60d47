"""Files and rows that differ after a crash: every file gets a row or another place, every loss an alarm."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from dcmtk import run, transfer_syntax
from delivery.parcels import make_scene
from keeping import Keeper, chest, keeper
from pydicom import dcmread
from sqlalchemy import select

from node.database import EventName, Study
from node.database.tables import Event
from node.doctor.check import State
from node.doctor.database import check_files
from node.errors import ArchiveDiffers
from node.states import StudyState
from node.studies import reconciliation
from node.studies.reconciliation import Reconciled, Reconciliation, find_differences


@pytest.fixture
def node(tmp_path: Path) -> Keeper:
    return keeper(tmp_path)


def test_a_node_whose_files_and_rows_agree_changes_nothing(node: Keeper) -> None:
    node.bring(chest(1))
    assert node.reconciliation().run() == Reconciled()


def test_an_instance_that_a_crash_left_without_a_row_gets_one(node: Keeper) -> None:
    received = node.place(chest(1))
    assert node.reconciliation().run() == Reconciled(adopted=1)
    assert node.rows() == {received.path: ""}
    assert node.study(chest(1)).state is StudyState.RECEIVING
    assert node.reconciliation().run() == Reconciled()


def test_what_the_journal_knows_the_sender_of_gets_its_row_as_when_it_came(node: Keeper) -> None:
    association = node.index.open_association("MODALITY", "10.0.0.7", "RADNODE")
    known, other, recorded = node.place(chest(1)), node.place(chest(2)), node.bring(chest(3))
    arrivals = {known.path: association, other.path: association + 100, recorded.path: association}
    assert node.reconciliation().run(arrivals) == Reconciled(adopted=2)
    assert node.rows() == {known.path: "MODALITY", other.path: "", recorded.path: "XRAY"}


def test_what_the_journal_tells_of_and_no_disk_has_was_never_answered(node: Keeper) -> None:
    association = node.index.open_association("MODALITY", "10.0.0.7", "RADNODE")
    received = node.place(chest(1))
    node.archive.path_of(received.path).unlink()
    assert node.reconciliation().run({received.path: association}) == Reconciled()
    assert node.rows() == {}


def test_who_sends_an_adopted_instance_again_becomes_its_sender(node: Keeper) -> None:
    received = node.place(chest(1))
    node.reconciliation().run()
    node.bring(chest(1), calling="XRAY")
    node.bring(chest(1), calling="OTHER")
    assert node.rows() == {received.path: "XRAY"}


def test_a_contradiction_that_a_crash_kept_from_quarantine_goes_there(node: Keeper) -> None:
    first = node.bring(chest(1))
    node.place(chest(1, PatientName="Other^Name"))
    assert node.reconciliation().run() == Reconciled(quarantined=1)
    assert node.files("instances") == {first.path}
    assert len(node.files("quarantine")) == 1


def test_a_repeat_in_another_transfer_syntax_that_a_crash_left_is_removed(node: Keeper, tmp_path: Path) -> None:
    first = node.bring(chest(1))
    chest(1).save_as(tmp_path / "plain.dcm", enforce_file_format=True)
    assert run("dcmconv", "+ti", tmp_path / "plain.dcm", tmp_path / "recoded.dcm").returncode == 0
    assert transfer_syntax(tmp_path / "recoded.dcm") != transfer_syntax(tmp_path / "plain.dcm")
    node.place(dcmread(tmp_path / "recoded.dcm"))
    assert node.reconciliation().run() == Reconciled(repeated=1)
    assert node.files("instances") == {first.path}


@pytest.mark.parametrize("damage", [b"", b"DICM", None])
def test_a_file_that_is_torn_under_its_final_name_is_put_aside(node: Keeper, damage: bytes | None) -> None:
    path = node.archive.path_of(node.place(chest(1)).path)
    path.write_bytes(path.read_bytes()[:-2] if damage is None else damage)
    assert node.reconciliation().run() == Reconciled(quarantined=1)
    assert node.rows() == {}
    assert node.files("instances") == set()


def test_a_whole_file_that_lies_under_the_name_of_another_is_put_aside(node: Keeper) -> None:
    path = node.archive.path_of(node.place(chest(1)).path)
    path.rename(path.with_name(f"{path.stem[::-1]}.dcm"))
    assert node.reconciliation().run() == Reconciled(quarantined=1)
    assert node.rows() == {}


def test_a_row_without_a_file_raises_an_alarm_once_and_holds_the_study(
    node: Keeper, caplog: pytest.LogCaptureFixture
) -> None:
    received = node.bring(chest(1))
    node.archive.path_of(received.path).unlink()
    for _ in range(2):
        assert node.reconciliation().run() == Reconciled(missing=1)
    study = node.study(chest(1))
    assert study.state is StudyState.HELD
    assert received.path in study.reason
    assert [record.levelno for record in caplog.records if record.message == "files and rows differed"] == [
        logging.ERROR
    ] * 2
    with node.database.reading() as session:
        events = session.scalars(select(Event).where(Event.name == str(EventName.FILE_MISSING))).all()
    assert [(event.study_id, event.detail) for event in events] == [(study.id, {"path": received.path})]


def test_the_doctor_tells_of_a_file_that_is_gone_until_it_is_back(node: Keeper, tmp_path: Path) -> None:
    received = node.bring(chest(1))
    node.archive.path_of(received.path).unlink()
    node.reconciliation().run()
    outcome = check_files(tmp_path / "radnode.db", tmp_path)
    assert outcome.state is State.ERROR
    assert received.path in outcome.found
    node.bring(chest(1))
    assert check_files(tmp_path / "radnode.db", tmp_path).state is State.OK


def test_a_result_that_is_gone_raises_an_alarm_about_its_study_and_holds_no_finished_one(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    (result, *_) = scene.archive.path_of("results").rglob("*.dcm")
    with scene.side.database.writing() as session:
        session.scalars(select(Study)).one().state = StudyState.DONE
    result.unlink()
    compared = Reconciliation(scene.side.database, scene.archive, scene.side.index, scene.side.clock)
    assert compared.run() == Reconciled(missing=1)
    assert scene.study_state() == "done"
    with scene.side.database.reading() as session:
        (event,) = session.scalars(select(Event).where(Event.name == "file missing")).all()
    assert event.detail["path"].startswith("results/")


def test_a_result_that_no_row_tells_of_is_removed_and_those_of_rows_stay(tmp_path: Path) -> None:
    scene = make_scene(tmp_path)
    before = set(scene.archive.path_of("results").rglob("*.dcm"))
    scene.archive.store_result(b"of a worker that died before its commit")
    compared = Reconciliation(scene.side.database, scene.archive, scene.side.index, scene.side.clock)
    assert compared.run() == Reconciled(removed_results=1)
    assert set(scene.archive.path_of("results").rglob("*.dcm")) == before


def test_files_that_are_about_to_leave_are_left_to_the_removal(node: Keeper) -> None:
    received = node.place(chest(1))
    node.archive.note_removal([received.path])
    assert node.reconciliation().run() == Reconciled()
    assert node.files("instances") == {received.path}


@pytest.mark.parametrize("kind", ["files", "rows"])
def test_a_node_refuses_to_start_when_more_differs_than_a_crash_explains(
    node: Keeper, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "MOST_AFTER_AN_INTERRUPTION", 1)
    for number in (1, 2):
        received = node.place(chest(number)) if kind == "files" else node.bring(chest(number))
        if kind == "rows":
            node.archive.path_of(received.path).unlink()
    with pytest.raises(ArchiveDiffers, match="radnode repair"):
        node.reconciliation().run()
    assert find_differences(node.database, node.archive)
    assert len(node.rows()) == (0 if kind == "files" else 2)
