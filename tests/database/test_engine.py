"""The engine: durable, one writer at a time, tables made by migrations alone."""

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from node.clock import SystemClock
from node.database import Database, Delivery, EventName, Study, record_event
from node.database.tables import Event, Table
from node.errors import DatabaseBusy
from node.states import DeliveryState, StudyState


@pytest.fixture
def database(tmp_path: Path):
    database = Database(tmp_path / "radnode.db")
    database.migrate()
    yield database
    database.close()


def a_study(uid: str = "1.2.3") -> Study:
    words = dict.fromkeys(
        ("patient_id", "patient_name", "patient_birth_date", "patient_sex", "study_id", "study_date"), "x"
    )
    return Study(
        study_instance_uid=uid,
        state=StudyState.RECEIVING,
        accession_number="",
        description="",
        received_at=SystemClock().now(),
        last_instance_boot_id="",
        last_instance_seconds=0.0,
        **words,
    )


def test_the_migrations_make_exactly_the_tables_the_code_expects(database: Database) -> None:
    with database.reading() as session:
        assert compare_metadata(MigrationContext.configure(session.connection()), Table.metadata) == []


def test_migrating_twice_changes_nothing(database: Database) -> None:
    with database.writing() as session:
        session.add(a_study())
    database.migrate()
    with database.reading() as session:
        assert session.query(Study).count() == 1


def test_commits_survive_power_loss_and_rows_keep_their_references(database: Database) -> None:
    with database.reading() as session:
        pragmas = {name: session.execute(text(f"PRAGMA {name}")).scalar() for name in
                   ("journal_mode", "synchronous", "foreign_keys")}
    assert pragmas == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_a_row_that_refers_to_nothing_is_refused(database: Database) -> None:
    orphan = Delivery(result_id=99, destination="PACS", state=DeliveryState.PENDING, due_at=SystemClock().now())
    with pytest.raises(IntegrityError), database.writing() as session:
        session.add(orphan)


def test_an_exception_takes_the_whole_transaction_back(database: Database) -> None:
    def add_and_fail() -> None:
        with database.writing() as session:
            session.add(a_study())
            session.flush()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        add_and_fail()
    with database.reading() as session:
        assert session.query(Study).count() == 0


def test_two_writers_never_decide_on_the_same_snapshot(database: Database) -> None:
    with database.writing() as session:
        session.add(a_study())

    def increment() -> None:
        for _ in range(25):
            with database.writing() as session:
                study = session.query(Study).one()
                study.revision += 1

    writers = [threading.Thread(target=increment) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with database.reading() as session:
        assert session.query(Study).one().revision == 100


def test_states_and_times_come_back_as_they_went_in(database: Database) -> None:
    at = SystemClock().now()
    with database.writing() as session:
        study = a_study()
        session.add(study)
        session.flush()
        record_event(session, at, EventName.STUDY_COMPLETE, study, revision=1)
    with database.reading() as session:
        assert session.query(Study).one().state is StudyState.RECEIVING
        event = session.query(Event).one()
        assert (event.at, event.name, event.detail) == (at, "study complete", {"revision": 1})


def test_every_table_explains_itself(database: Database) -> None:
    assert all(mapper.class_.__doc__ for mapper in Table.registry.mappers)
    with database.reading() as session:
        tables = set(inspect(session.connection()).get_table_names())
    assert tables == {*Table.metadata.tables, "alembic_version"}


def test_a_database_that_stays_locked_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    holder = Database(tmp_path / "radnode.db")
    holder.migrate()
    waiting = Database(tmp_path / "radnode.db", busy_seconds=0.1)
    with holder.writing() as session:
        session.add(a_study())
        session.flush()
        with pytest.raises(DatabaseBusy, match=r"radnode\.db: another process has held it"), waiting.writing():
            raise AssertionError("entered without the lock")
    holder.close()
    waiting.close()


def test_an_error_quotes_no_value_of_a_row(database: Database) -> None:
    twin = a_study()
    twin.patient_name = "SECRET^NAME"
    with pytest.raises(IntegrityError) as raised, database.writing() as session:
        session.add_all([a_study(), twin])
    assert "SECRET" not in str(raised.value)
