"""Looks at a database file from outside: nothing in it is changed, and no table is needed to open it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from node.database.failures import damage_of, name_failure
from node.database.revisions import revision_of


@dataclass(frozen=True)
class Contact:
    """The associations a peer asked us for: how many; when, from where, calling whom and with what end the last.

    `last_ending` begins with "rejected: " and gives the reason when we did not let it in; it is empty
    while the association is open.
    """

    count: int
    last_at: datetime
    last_address: str
    last_called: str
    last_ending: str


def find_faults(path: Path) -> list[str]:
    """Return what SQLite's quick check finds wrong with the file; nothing when it is whole."""
    with _opened(path) as connection:
        try:
            lines = [str(line) for (line,) in connection.execute("PRAGMA quick_check(10)")]
        except UnicodeDecodeError:  # SQLite quotes a damaged name in what it says, and Python cannot read that
            return ["a name in the schema is damaged"]
    return [line for line in lines if line != "ok"]


def copy_database(path: Path, target: Path) -> None:
    """Write what is committed at this moment to a new file, in one piece and flushed; writers need not stop."""
    with _opened(path) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")


def kept_files(path: Path) -> dict[str, str]:
    """Return every path in the archive that a row refers to, with the SHA-256 (hex) that row states."""
    query = "SELECT path, sha256 FROM instances UNION SELECT path, sha256 FROM results WHERE path != ''"
    with _opened(path) as connection:
        return dict(connection.execute(query).fetchall())


def has_row(path: Path, file: str) -> bool:
    """Tell whether a row refers to a path in the archive."""
    query = "SELECT 1 FROM instances WHERE path = :file UNION SELECT 1 FROM results WHERE path = :file"
    with _opened(path) as connection:
        return connection.execute(query, {"file": file}).fetchone() is not None


def lost_files(path: Path) -> list[str]:
    """Return the paths that an alarm was recorded for because no file was there."""
    with _opened(path) as connection:
        rows = connection.execute("SELECT detail FROM events WHERE name = 'file missing'").fetchall()
    return [json.loads(detail)["path"] for (detail,) in rows]


def journal_mode(path: Path) -> str:
    """Return SQLite's journal mode, "wal" once a node has opened the file."""
    with _opened(path) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    return str(mode)


def current_revision(path: Path) -> str:
    """Return the migration the tables are at, "" when there are none."""
    with _opened(path) as connection:
        return revision_of(connection)


def count_rows(path: Path) -> dict[str, int]:
    """Return the number of rows of each table, by its name."""
    with _opened(path) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {
            name: connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]
            for (name,) in tables
            if not name.startswith(("sqlite_", "alembic_"))
        }


def require_write_lock(path: Path, patience_seconds: float) -> None:
    """Take the write lock and give it back unused; raises DatabaseBusy when it is not free in time."""
    with _opened(path, patience_seconds) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")


def contact_of(path: Path, ae_title: str) -> Contact | None:
    """Return what is known of the associations this AE title asked for, None when it never did."""
    with _opened(path) as connection:
        row = connection.execute(
            "SELECT opened_at, calling_address, called_ae_title, closed_how, count(*) OVER () FROM associations"
            " WHERE calling_ae_title = ? ORDER BY id DESC LIMIT 1",
            (ae_title,),
        ).fetchone()
    if row is None:
        return None
    opened_at, address, called, ending, count = row
    return Contact(count, datetime.fromisoformat(opened_at).replace(tzinfo=UTC), address, called, ending)


def callers_from(path: Path, addresses: Collection[str]) -> frozenset[str]:
    """Return every AE title that asked for an association from one of these addresses."""
    marks = ", ".join("?" * len(addresses))
    with _opened(path) as connection:
        rows = connection.execute(
            f"SELECT DISTINCT calling_ae_title FROM associations WHERE calling_address IN ({marks})", [*addresses]
        ).fetchall()
    return frozenset(title for (title,) in rows)


def senders(path: Path) -> frozenset[str]:
    """Return every AE title that has sent us an instance."""
    with _opened(path) as connection:
        rows = connection.execute(
            "SELECT DISTINCT calling_ae_title FROM associations"
            " WHERE calling_ae_title != '' AND id IN (SELECT association_id FROM instances)"
        ).fetchall()
    return frozenset(title for (title,) in rows)


@contextmanager
def _opened(path: Path, patience_seconds: float = 5.0) -> Iterator[sqlite3.Connection]:
    """Open an existing file; SQLite's own errors become ours, which name the file and the next step."""
    try:
        address = f"{path.resolve().as_uri()}?mode=rw"
        with closing(sqlite3.connect(address, uri=True, timeout=patience_seconds, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        named = name_failure(path, error, patience_seconds)
        raise named or damage_of(path, f"SQLite says {error}") from error
