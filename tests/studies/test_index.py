"""What the arrival of an instance means for its study."""

import sqlite3
from pathlib import Path

import pytest
from pydicom import uid
from rows import Gathering, gathering, received
from sqlalchemy import select

from node.database import Association, Event, Instance, Job, Result, Series, Study
from node.errors import DatabaseBusy, InstanceConflict
from node.states import JobState, StudyState
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


def test_a_result_of_ours_that_comes_back_is_told_apart_and_opens_nothing(side: Gathering) -> None:
    side.bring(received(1))
    assert side.complete() == 1
    state = the_study(side).state
    own = received(2, PatientID="P2")
    with side.database.writing() as session:
        study, now = session.scalars(select(Study)).one(), side.clock.now()
        job = Job(study=study, revision=1, sender="XRAY", model="m", model_sha256="s", inputs_digest="d")
        job.destinations, job.state, job.created_at = [], JobState.DONE, now
        result = Result(job=job, kind="k", sop_class_uid=own.sop_class_uid, sop_instance_uid=own.sop_instance_uid)
        result.series_instance_uid, result.path, result.sha256, result.created_at = "1.9", "p", "s", now
        session.add(result)
    side.clock.pass_seconds(5.0)
    assert side.bring(own, received(2, content="b")) == ["own result", "own result"]
    assert the_study(side).state is state
    assert the_study(side).last_instance_seconds == side.clock.boot_seconds() - 7.0
    with side.database.reading() as session:
        assert [row.is_own_result for row in session.scalars(select(Instance))] == [False, True]
    names = [event.name for event in describe_study(side.database, "1.2.3").events]
    assert names.count("result returned") == 1
    assert names.count("instance repeated") == 1


def test_an_instance_for_a_study_that_is_complete_opens_it_again(side: Gathering) -> None:
    side.bring(received(1))
    side.complete()
    side.clock.pass_seconds(100.0)
    side.clock.boot_id = "boot-2"
    side.bring(received(2))
    study = the_study(side)
    assert study.state is StudyState.RECEIVING
    assert (study.last_instance_boot_id, study.last_instance_seconds) == ("boot-2", side.clock.boot_seconds())


@pytest.mark.parametrize("state", [StudyState.HELD, StudyState.CANCELLED])
def test_an_instance_for_a_study_that_a_person_stopped_does_not_start_it(side: Gathering, state: StudyState) -> None:
    side.bring(received(1))
    side.complete()
    with side.database.writing() as session:
        study = session.scalars(select(Study)).one()
        study.held_from = "complete"
        study.move(state)
    side.bring(received(2))
    assert the_study(side).state is state
    assert the_study(side).held_from == ("receiving" if state is StudyState.HELD else "complete")


def test_the_row_of_a_study_says_when_it_came_and_what_it_is(side: Gathering) -> None:
    side.bring(received(1, SeriesDescription="PA"))
    side.bring(received(2, StudyDescription="Other", SeriesInstanceUID="1.2.3.5"))
    study = the_study(side)
    assert (study.description, study.received_at) == ("Chest PA", side.clock.now())
    assert (study.last_instance_boot_id, study.last_instance_seconds) == ("boot-1", side.clock.boot_seconds())
    with side.database.reading() as session:
        series = [(row.series_instance_uid, row.modality, row.description) for row in session.scalars(select(Series))]
    assert series == [("1.2.3.4", "DX", "PA"), ("1.2.3.5", "DX", "")]


def test_series_of_two_studies_that_share_a_uid_are_two(side: Gathering) -> None:
    side.bring(received(1), received(2), received(3, StudyInstanceUID="1.2.9"))
    with side.database.reading() as session:
        assert len(session.scalars(select(Series)).all()) == 2
        assert len(session.scalars(select(Study)).all()) == 2


def test_an_association_says_who_called_whom_from_where_and_when(side: Gathering) -> None:
    association = side.index.open_association("XRAY", "10.0.0.7", "RADNODE")
    opened_at = side.clock.now()
    side.clock.pass_seconds(9.0)
    side.index.close_association(association, "released")
    with side.database.reading() as session:
        row = session.get_one(Association, association)
        assert (row.calling_ae_title, row.calling_address, row.called_ae_title) == ("XRAY", "10.0.0.7", "RADNODE")
        assert (row.opened_at, row.closed_at, row.closed_how) == (opened_at, side.clock.now(), "released")
        events = session.scalars(select(Event).where(Event.association_id == association)).all()
    assert [(str(event.name), event.detail) for event in events] == [
        ("association opened", {"calling_ae_title": "XRAY"}),
        ("association closed", {"how": "released"}),
    ]


def test_a_caller_that_was_sent_away_is_an_association_that_never_was_open(side: Gathering) -> None:
    side.index.record_rejection("STRANGER", "10.9.9.9", "RADNODE", "rejected: unknown")
    with side.database.reading() as session:
        (row,) = session.scalars(select(Association).where(Association.calling_ae_title == "STRANGER"))
        (event,) = session.scalars(select(Event).where(Event.association_id == row.id))
    assert (row.calling_address, row.closed_how, row.opened_at) == ("10.9.9.9", "rejected: unknown", row.closed_at)
    assert (event.name, event.detail["how"]) == ("association rejected", "rejected: unknown")


def test_only_associations_of_the_index_are_known(side: Gathering) -> None:
    key = side.index.open_association("XRAY", "10.1.2.3", "RADNODE")
    assert side.index.known_associations([key, key + 1]) == {key}


def test_where_no_association_ended_there_is_nothing_to_record(side: Gathering) -> None:
    side.bring(received(1))
    side.database.close()
    side.index.record_ends()


def test_a_path_is_referred_to_once_an_instance_lies_there(side: Gathering) -> None:
    assert not side.index.refers_to(received(1).path)
    side.bring(received(1))
    assert side.index.refers_to(received(1).path)
    assert not side.index.refers_to(received(2).path)


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
