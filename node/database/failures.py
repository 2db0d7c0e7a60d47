"""What SQLite's own errors mean to whoever runs the node: wait, make room, or mend the file."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from node.errors import ArchiveFull, DatabaseBusy, DatabaseUnusable, RadnodeError

_HELD = frozenset((sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED))
_DAMAGED = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))
_PRIMARY = 0xFF  # the rest of an extended error code tells details


def name_failure(path: Path, error: BaseException | None, patience_seconds: float) -> RadnodeError | None:
    """Return the error to raise in place of SQLite's, or None for one that needs no name of its own.

    `patience_seconds` is how long the write lock was waited for.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & _PRIMARY
    if code in _HELD:
        return DatabaseBusy(
            f"{path}: another process has held it for more than {patience_seconds:g} s; end that process"
        )
    if code == sqlite3.SQLITE_FULL:
        return ArchiveFull(f"{path}: no room for another row; free some space, the sender will try again")
    if code in _DAMAGED:
        return damage_of(path, str(error))
    return None


def damage_of(path: Path, found: str) -> DatabaseUnusable:
    """Return the error that says what is wrong with a damaged file and how it is mended."""
    return DatabaseUnusable(
        f"{path}: {found}; expected radnode's database, whole; stop the node, then run `radnode restore` with a "
        "backup, or `radnode repair` to rebuild it from the files"
    )
