"""Which migrations this version of radnode has, by the names of their files: Alembic is loaded only to run one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"


def revision_of(connection: sqlite3.Connection) -> str:
    """Return the migration that the tables of a database are at, "" when there are none."""
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone():
        return ""
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return str(row[0]) if row else ""


def known_revisions() -> frozenset[str]:
    """Return every migration that this version of radnode can start from."""
    return frozenset(file.name.partition("_")[0] for file in MIGRATIONS.glob("versions/[0-9]*_*.py"))


def newest_revision() -> str:
    """Return the migration that this version of radnode works with."""
    return max(known_revisions())
