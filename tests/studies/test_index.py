"""What the arrival of an instance means for its study."""

import sqlite3
from pathlib import Path

import pytest
from pydicom import uid
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.database import Association, Instance, Study
from node.errors import DatabaseBusy, InstanceConflict
from node.states import StudyState
from node.studies.overview import describe_study


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return gathering(tmp_path)


def the_study(side: Gathering) -> Study:
    with side.database.reading() as session:
        return session.scalars(select(Study)).one()


def test_a_study_states_the_identity_of_its_first_instance(side: Gathering) -> None:
    side.bring(received(AccessionNumber="A1"))
    assert the_study(side).identity.patient_id == "P1"
    assert the_study(side).identity.accession_number == "A1"
    assert the_study(side).state is StudyState.RECEIVING


def test_the_same_instance_twice_is_one_row_and_one_event_more(side: Gathering) -> None:
    assert side.bring(received(), received()) == ["new", "duplicate"]
    names = [event.name for event in describe_study(side.database, "1.2.3").events]
    assert names == ["association opened", "instance kept", "instance repeated", "association closed"]


def test_an_instance_resent_in_another_transfer_syntax_is_no_conflict(side: Gathering) -> None:
    recoded = received(content="b", transfer_syntax_uid=uid.JPEGLSLossless)
    assert side.bring(received(), recoded) == ["new", "duplicate"]


def test_the_same_uid_with_other_content_is_a_conflict_and_recorded(side: Gathering) -> None:
    side.bring(received())
    with pytest.raises(InstanceConflict, match=r"1\.2\.3\.4\.1: found content"):
        side.bring(received(content="b"))
    with side.database.reading() as session:
        (kept,) = session.scalars(select(Instance)).all()
    assert kept.sha256 == received().sha256
    assert "instance conflict" in [e.name for e in describe_study(side.database, "1.2.3").events]


def test_a_study_with_two_patients_is_held(side: Gathering) -> None:
    side.bring(received(1), received(2, PatientID="P2"))
    assert the_study(side).state is StudyState.HELD
    assert "more than one PatientID" in the_study(side).reason
    assert side.complete(60) == 0


def test_closing_an_association_twice_keeps_the_first_end(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.close_association(association, "released")
    side.index.close_association(association, "aborted")
    with side.database.reading() as session:
        assert session.get_one(Association, association).closed_how == "released"


def test_an_end_that_could_not_be_recorded_is_recorded_later_and_the_study_completes(tmp_path: Path) -> None:
    side = gathering(tmp_path, busy_seconds=0.1)
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(), association)
    with sqlite3.connect(tmp_path / "radnode.db", isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy):
            side.index.close_association(association, "released")
        other.execute("ROLLBACK")
    assert side.complete(60) == 0
    side.index.record_ends()
    assert side.complete(60) == 1
    with side.database.reading() as session:
        assert session.get_one(Association, association).closed_how == "released"


def test_associations_left_open_by_a_crash_are_closed_at_the_next_start(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "127.0.0.1", "RADNODE")
    side.index.record(received(), association)
    assert side.complete(60) == 0
    assert side.index.close_stale_associations() == 1
    assert side.complete(0) == 1


def test_no_event_repeats_who_the_patient_is(side: Gathering) -> None:
    side.bring(received(PatientName="Marker^Name", PatientID="MARKER-ID"))
    side.complete()
    details = str([event.detail for event in describe_study(side.database, "1.2.3").events])
    assert "MARKER" not in details.upper()
