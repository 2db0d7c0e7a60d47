"""What the doctor says of the database."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from rows import gathering, received

from node.database.inspection import contact_of
from node.database.revisions import newest_revision
from node.doctor.check import CheckResult, State, carry_out
from node.doctor.database import check_lock, database_checks
from node.errors import DatabaseBusy
from node.settings import NodeSection, Settings


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database in which one peer has sent one study."""
    side = gathering(tmp_path)
    side.bring(received())
    side.database.close()
    return tmp_path / "radnode.db"


def examined(path: Path) -> dict[str, CheckResult]:
    settings = Settings(node=NodeSection(data=path.parent))
    return {result.name: result for result in carry_out(database_checks(settings))}


def execute(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_a_database_in_order_is_told_with_its_rows(database: Path) -> None:
    results = examined(database)
    assert {result.state for result in results.values()} == {State.OK}
    assert "1 studies, 1 instances" in results["database: content"].found


def test_no_database_is_only_a_warning(tmp_path: Path) -> None:
    (result,) = examined(tmp_path / "radnode.db").values()
    assert (result.state, list(tmp_path.iterdir())) == (State.WARNING, [])


def test_a_database_that_another_process_keeps_locked_is_an_error(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseBusy, match="end that process"):
            check_lock(database, 0.1)
    assert check_lock(database, 0.1).state is State.OK


def test_a_damaged_database_is_an_error(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096 : 4096 * 3] = bytes(range(256)) * 32
    database.write_bytes(content)
    assert examined(database)["database: whole"].state is State.ERROR


def test_a_file_that_is_no_database_is_an_error_in_our_words(database: Path) -> None:
    database.write_bytes(b"a note to myself" * 1000)
    result = examined(database)["database: whole"]
    assert (result.state, "restore" in result.advice) == (State.ERROR, True)


def test_an_older_migration_is_a_warning_and_an_unknown_one_an_error(database: Path) -> None:
    execute(database, "DELETE FROM alembic_version")
    assert examined(database)["database: migration"].state is State.WARNING
    execute(database, "INSERT INTO alembic_version VALUES ('9999')")
    result = examined(database)["database: migration"]
    assert (result.state, newest_revision() in result.found) == (State.ERROR, True)


def test_another_journal_mode_is_a_warning(database: Path) -> None:
    execute(database, "PRAGMA journal_mode=DELETE")
    assert examined(database)["database: durable mode"].state is State.WARNING


def test_the_last_association_of_a_peer_is_found_by_its_ae_title(database: Path) -> None:
    side = gathering(database.parent)
    side.clock.pass_seconds(60.0)
    side.index.open_association("XRAY", "10.0.0.7", "OTHER")
    side.database.close()
    contact = contact_of(database, "XRAY")
    assert contact is not None
    assert (contact.count, contact.last_address, contact.last_called) == (2, "10.0.0.7", "OTHER")
    assert contact.last_at == side.clock.now()
    assert contact_of(database, "NOBODY") is None
