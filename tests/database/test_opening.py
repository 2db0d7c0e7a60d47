"""A database that is opened at start: whole, or refused by name with the way to mend it."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from keeping import flip_bytes
from sqlalchemy import text

from node.database import Database
from node.database.inspection import find_faults
from node.database.opening import open_whole
from node.errors import ArchiveFull, DatabaseUnusable


def make(path: Path, rows: int = 300) -> None:
    database = Database(path)
    database.migrate()
    with database.writing() as session:
        for number in range(rows):
            session.execute(text("INSERT INTO senders VALUES (:name, 0)"), {"name": f"{number:0200}"})
    database.close()


def test_a_new_and_a_whole_database_are_opened(tmp_path: Path) -> None:
    for _ in range(2):
        open_whole(tmp_path / "radnode.db").close()
    assert find_faults(tmp_path / "radnode.db") == []


def test_a_damaged_database_is_refused_at_start_and_the_message_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "radnode.db"
    make(path)
    content = bytearray(path.read_bytes())
    content[4096 * 8 : 4096 * 12] = bytes(4096 * 4)
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match="radnode repair") as refusal:
        open_whole(path)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("seed", range(8))
def test_one_byte_of_a_hundred_flipped_is_noticed_at_start(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "radnode.db"
    make(path)
    flip_bytes(path, seed)
    with pytest.raises(DatabaseUnusable, match="radnode repair"):
        open_whole(path)


def test_a_file_that_is_no_database_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "radnode.db").write_text("not a database\n" * 1000)
    with pytest.raises(DatabaseUnusable, match="radnode restore"):
        open_whole(tmp_path / "radnode.db")


def test_damage_that_a_write_meets_is_named(tmp_path: Path) -> None:
    path = tmp_path / "radnode.db"
    make(path)
    database = Database(path)
    content = bytearray(path.read_bytes())
    with sqlite3.connect(path) as plain:
        (root,) = plain.execute("SELECT rootpage FROM sqlite_master WHERE name = 'senders'").fetchone()
    content[4096 * (root - 1) : 4096 * root] = b"\xff" * 4096
    path.write_bytes(content)
    with pytest.raises(DatabaseUnusable, match="radnode repair"), database.writing() as session:
        session.execute(text("INSERT INTO senders VALUES ('A', 0)"))
    database.close()


def test_no_room_for_a_row_is_named_nothing_is_written_and_it_recovers(tmp_path: Path) -> None:
    path = tmp_path / "radnode.db"
    make(path, rows=1)
    database = Database(path)

    def fill(rows: int) -> None:
        with database.writing() as session:
            (pages,) = session.execute(text("PRAGMA page_count")).one()
            session.execute(text(f"PRAGMA max_page_count = {pages + (2 if rows > 100 else 1000)}"))
            for number in range(rows):
                session.execute(text("INSERT INTO senders VALUES (:name, 0)"), {"name": f"x{number:0200}"})

    with pytest.raises(ArchiveFull, match="no room"):
        fill(2000)
    fill(50)
    with database.reading() as session:
        assert session.execute(text("SELECT count(*) FROM senders")).scalar() == 51
    database.close()
