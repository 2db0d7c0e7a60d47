"""A database of an earlier version keeps its rows when the node is brought to a new one."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Select, select, text
from sqlalchemy.dialects import sqlite

from node import database as package
from node.database import Database, Delivery, Event, Job, JobInput
from node.database.revisions import MIGRATIONS, known_revisions, newest_revision, revision_of

ROWS = """
INSERT INTO associations VALUES (1, 'XRAY', '127.0.0.1', 'RADNODE', '2026-01-01 00:00:00', NULL, '');
INSERT INTO studies (id, study_instance_uid, state, reason, held_from, revision, patient_id, patient_name,
 patient_birth_date, patient_sex, study_id, study_date, accession_number, description, received_at,
 last_instance_boot_id, last_instance_seconds)
 VALUES (1, '1.2.3', 'analysing', '', '', 1, 'P1', '', '', '', '', '', '', '', '2026-01-01 00:00:00', '', 0);
INSERT INTO series VALUES (1, 1, '1.2.3.4', 'DX', '');
INSERT INTO instances (id, series_id, association_id, sop_instance_uid, sop_class_uid, transfer_syntax_uid, header,
 sha256, size, path, is_own_result, received_at)
 VALUES (1, 1, 1, '1.2.3.4.5', '1.2', '1.2', '{}', '', 1, 'x', 0, '2026-01-01 00:00:00');
INSERT INTO jobs (id, study_id, revision, sender, priority, virtual_time, model, model_sha256, inputs_digest,
 destinations, state, reason, attempts, worker, token, lease_boot_id, lease_until_seconds, created_at)
 VALUES (1, 1, 1, 'XRAY', 0, 1, 'a_b_c', '0', '1', '[]', 'queued', '', 1, '', '', '', 0, '2026-01-01 00:00:00');
INSERT INTO job_inputs (id, job_id, instance_id, role) VALUES (1, 1, 1, 'image')
"""


DELIVERED = """
INSERT INTO results (id, job_id, kind, sop_class_uid, sop_instance_uid, series_instance_uid, path, sha256, created_at)
 VALUES (1, 1, 'segmentation', '1.2', '2.25.1', '2.25.2', 'r', '0', '2026-01-01 00:00:00');
INSERT INTO deliveries (id, result_id, destination, state, attempts, due_at, answer, sent_at)
 VALUES (1, 1, 'PACS', 'sent', 1, '2026-01-01 00:00:00', '0000', '2026-01-01 00:00:01');
INSERT INTO events (id, at, name, delivery_id, detail) VALUES (1, '2026-01-01 00:00:01', 'delivery sent', 1, '{}')
"""


STUDY_EVENTS = """
INSERT INTO events (id, at, name, association_id, detail)
 VALUES (1, '2026-01-01 00:00:00', 'association opened', 1, '{}');
INSERT INTO events (id, at, name, study_id, detail) VALUES (2, '2026-01-01 00:00:01', 'instance kept', 1, '{}');
INSERT INTO events (id, at, name, study_id, job_id, detail)
 VALUES (3, '2026-01-01 00:00:02', 'job queued', 1, 1, '{}')
"""


def migration(database: Database, verb: Callable[[Config, str], None], revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(package.__file__).parent / "migrations"))
    with database.writing() as session:
        config.attributes["connection"] = session.connection()
        verb(config, revision)


def fill(database: Database, statements: str) -> None:
    with database.writing() as session:
        for statement in statements.split(";\n"):
            session.execute(text(statement))


def test_what_an_earlier_version_sent_is_not_asked_about_and_stays_sent_also_after_a_downgrade(tmp_path: Path) -> None:
    database = Database(tmp_path / "radnode.db")
    migration(database, command.upgrade, "0005")
    fill(database, ROWS)
    fill(database, DELIVERED)
    for _ in range(2):
        database.migrate()
        with database.reading() as session:
            delivery = session.get_one(Delivery, 1)
            assert (delivery.state, delivery.commitment_due_at, delivery.committed_at) == ("sent", None, None)
            assert (delivery.askings, delivery.denials) == (0, 0)
        migration(database, command.downgrade, "0005")
    database.close()


def test_events_of_an_earlier_version_are_found_by_their_study_alone_also_after_a_downgrade(tmp_path: Path) -> None:
    database = Database(tmp_path / "radnode.db")
    migration(database, command.upgrade, "0007")
    fill(database, ROWS)
    fill(database, STUDY_EVENTS)
    of_study = select(Event.id).where(Event.study_id == 1, Event.at > datetime(2026, 1, 1, tzinfo=UTC))
    for _ in range(2):
        database.migrate()
        with database.reading() as session:
            (step,) = session.execute(text(f"EXPLAIN QUERY PLAN {literal(of_study)}"))
            assert step.detail == "SEARCH events USING INDEX ix_events_study_id (study_id=?)"
            assert session.scalars(of_study).all() == [2, 3]
            indexes = session.execute(text("PRAGMA index_list(events)")).all()
            assert [(index.name, index.partial) for index in indexes] == [("ix_events_study_id", 1)]
        migration(database, command.downgrade, "0007")
        with database.reading() as session:
            indexes = session.execute(text("PRAGMA index_list(events)")).all()
            assert {(index.name, index.partial) for index in indexes} == {
                ("ix_events_study_id", 0),
                ("ix_events_job_id", 0),
            }
    database.close()


def literal(query: Select[Any]) -> str:
    return str(query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))


def test_jobs_of_an_earlier_version_go_on(tmp_path: Path) -> None:
    database = Database(tmp_path / "radnode.db")
    migration(database, command.upgrade, "0002")
    fill(database, ROWS)
    database.migrate()
    with database.reading() as session:
        job = session.get_one(Job, 1)
        assert (job.attempts, job.interruptions, job.predecessor_id) == (1, 0, None)
        assert session.get_one(JobInput, 1).job is job
    database.close()


def test_migrations_are_known_by_the_names_of_their_files_as_alembic_knows_them() -> None:
    script = ScriptDirectory(str(MIGRATIONS))
    assert newest_revision() == script.get_current_head()
    assert known_revisions() == {step.revision for step in script.walk_revisions()}


def test_a_database_that_was_never_migrated_is_at_no_migration(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "node.db")
    assert revision_of(connection) == ""
    connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
    assert revision_of(connection) == ""
    connection.execute("INSERT INTO alembic_version VALUES ('0004')")
    assert revision_of(connection) == "0004"
    connection.close()


def test_alembic_is_loaded_for_a_migration_alone(tmp_path: Path) -> None:
    code = "\n".join(
        (
            "import sys; from pathlib import Path; from node.database import Database",
            "database = Database(Path(sys.argv[1])); database.migrate(); database.close()",
            "print('alembic' in sys.modules)",
        )
    )
    command = [sys.executable, "-c", code, str(tmp_path / "node.db")]
    answers = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() for _ in range(2)]
    assert answers == ["True", "False"]
