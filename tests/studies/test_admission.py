"""Admission: what becomes of the file and of the row when an instance comes that is known, or seems to be."""

from __future__ import annotations

from pathlib import Path

import pytest
from keeping import Keeper, chest, keeper
from pydicom import uid
from pydicom.dataset import Dataset
from sqlalchemy import select

from node.database import Event, Instance
from node.errors import InstanceConflict
from node.studies.admission import admit_instance
from node.vocabulary import Admission, ReceivedInstance


@pytest.fixture
def side(tmp_path: Path) -> Keeper:
    return keeper(tmp_path / "data")


def admit(side: Keeper, received: ReceivedInstance, calling: str = "XRAY") -> Admission:
    association = side.index.open_association(calling, "127.0.0.1", "RADNODE")
    try:
        return admit_instance(side.archive, side.index, received, association)
    finally:
        side.index.close_association(association, "released")


def written_otherwise(dataset: Dataset) -> Dataset:
    """Return the same instance with one character more."""
    other = chest(1)
    other.StudyDescription = f"{dataset.get('StudyDescription', '')}!"
    return other


def events(side: Keeper, dataset: Dataset) -> list[str]:
    with side.database.reading() as session:
        study = side.study(dataset).id
        return [str(event.name) for event in session.scalars(select(Event).where(Event.study_id == study))]


def test_a_new_instance_stays_where_it_lies(side: Keeper) -> None:
    received = side.place(chest(1))
    assert admit(side, received) is Admission.NEW
    assert side.rows() == {received.path: "XRAY"}
    assert side.files("instances") == {received.path}


def test_the_same_bytes_again_keep_the_one_file(side: Keeper) -> None:
    first = side.bring(chest(1))
    assert admit(side, side.place(chest(1))) is Admission.DUPLICATE
    assert side.files("instances") == {first.path}


def test_other_content_goes_to_quarantine_and_the_first_stays(side: Keeper) -> None:
    first = side.bring(chest(1))
    second = side.place(written_otherwise(chest(1)))
    with pytest.raises(InstanceConflict, match="the first is kept, the second quarantined"):
        admit(side, second)
    assert side.files("instances") == {first.path}
    assert side.files("quarantine") == {f"quarantine/{Path(second.path).name}"}
    assert side.rows() == {first.path: "XRAY"}


def test_an_instance_in_another_transfer_syntax_is_thrown_away(side: Keeper) -> None:
    first = side.bring(chest(1))
    again = chest(1)
    again.compress(uid.RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    recoded = side.place(again)
    assert side.files("instances") == {first.path, recoded.path}
    assert admit(side, recoded) is Admission.DUPLICATE
    assert side.files("instances") == {first.path}
    assert side.files("quarantine") == set()


def test_what_was_found_on_disk_belongs_to_who_sends_it_again(side: Keeper) -> None:
    received = side.place(chest(1))
    assert admit(side, received, calling="") is Admission.NEW
    assert admit(side, side.place(chest(1)), calling="CT1") is Admission.DUPLICATE
    assert admit(side, side.place(chest(1)), calling="CT2") is Admission.DUPLICATE
    assert side.rows() == {received.path: "CT1"}


def test_every_arrival_leaves_an_event_of_its_study(side: Keeper) -> None:
    side.bring(chest(1))
    side.bring(chest(1))
    with pytest.raises(InstanceConflict):
        admit(side, side.place(written_otherwise(chest(1))))
    assert events(side, chest(1)) == ["instance kept", "instance repeated", "instance conflict"]


def test_the_row_says_all_that_later_steps_ask(side: Keeper) -> None:
    received = side.bring(chest(1))
    with side.database.reading() as session:
        row = session.scalars(select(Instance)).one()
        assert (row.sop_instance_uid, row.sop_class_uid) == (received.sop_instance_uid, received.sop_class_uid)
        assert (row.sha256, row.size, row.path) == (received.sha256, received.size, received.path)
        assert row.transfer_syntax_uid == received.transfer_syntax_uid
        assert row.received_at == side.clock.now()
        assert (row.series.modality, row.series.series_instance_uid) == ("DX", received.series_instance_uid)
        assert row.series.study.study_instance_uid == received.study_instance_uid
        assert not row.is_own_result
