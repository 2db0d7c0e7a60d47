"""What a sender states of a patient is kept as it is, never filled in, and what contradicts is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from dcmtk import data_set_bytes
from keeping import chest
from pydicom import dcmread
from pydicom.dataset import Dataset
from receiving import Node, answer_to, send
from sqlalchemy import select

from node.database import Event, Study
from node.states import StudyState

pytestmark = pytest.mark.filterwarnings("ignore")


def written(dataset: Dataset, path: Path) -> Path:
    dataset.save_as(path, enforce_file_format=True)
    return path


def studies(node: Node) -> list[Study]:
    with node.database.reading() as session:
        return list(session.scalars(select(Study)))


def test_an_instance_without_patient_id_is_kept_and_none_is_made_up(node: Node, tmp_path: Path) -> None:
    dataset = chest(1)
    del dataset.PatientID
    path = written(dataset, tmp_path / "nameless.dcm")
    assert [answer.status for answer in send(node, path)] == [0x0000]
    (kept,) = node.instances.values()
    assert data_set_bytes(kept) == data_set_bytes(path)
    assert "PatientID" not in dcmread(kept)
    assert [study.patient_id for study in studies(node)] == [""]


@pytest.mark.parametrize("name", [b"M\xfcller^J\xf6rg ", b"\xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd^X "])
def test_letters_of_a_character_set_that_is_not_declared_are_kept_as_bytes(
    node: Node, tmp_path: Path, name: bytes
) -> None:
    dataset = chest(1, PatientName="A" * len(name))
    dataset.pop("SpecificCharacterSet", None)
    path = written(dataset, tmp_path / "undeclared.dcm")
    path.write_bytes(path.read_bytes().replace(b"A" * len(name), name))
    assert [answer.status for answer in send(node, path)] == [0x0000]
    (kept,) = node.instances.values()
    assert data_set_bytes(kept) == data_set_bytes(path)
    assert name in kept.read_bytes()


@pytest.mark.parametrize("character_set", ["ISO_IR 999", "KOI8-R", "\\ISO 2022 IR 87"])
def test_an_instance_in_a_character_set_that_is_unknown_or_foreign_is_kept_as_it_is(
    node: Node, tmp_path: Path, character_set: str
) -> None:
    dataset = chest(1)
    dataset.SpecificCharacterSet = character_set
    path = written(dataset, tmp_path / "foreign.dcm")
    assert [answer.status for answer in send(node, path)] == [0x0000]
    (kept,) = node.instances.values()
    assert data_set_bytes(kept) == data_set_bytes(path)


def test_a_study_of_two_patients_is_held_as_it_comes_in(node: Node, tmp_path: Path) -> None:
    first = chest(1)
    second = chest(2, PatientID="OTHER", StudyInstanceUID=first.StudyInstanceUID)
    paths = [written(dataset, tmp_path / f"{number}.dcm") for number, dataset in enumerate((first, second))]
    assert [answer.status for answer in send(node, *paths)] == [0x0000, 0x0000]
    (study,) = studies(node)
    assert (study.state, study.patient_id) == (StudyState.HELD, "P1")


def test_a_contradiction_is_an_event_of_the_study_that_came_first(node: Node, tmp_path: Path) -> None:
    path = written(chest(1), tmp_path / "first.dcm")
    send(node, path)
    other = written(chest(1, PatientID="OTHER"), tmp_path / "other.dcm")
    status, comment = answer_to(node, path, data_set_bytes(other))
    assert (status, "OTHER" in comment) == (0xC001, False)
    with node.database.reading() as session:
        (event,) = session.scalars(select(Event).where(Event.name == "instance conflict"))
    (study,) = studies(node)
    assert (event.study_id, study.state) == (study.id, StudyState.RECEIVING)
