"""Opens the database at start: only a whole one, at the newest migration."""

from __future__ import annotations

from pathlib import Path

from node.database.engine import Database
from node.database.failures import damage_of
from node.database.inspection import find_faults

# How long the node waits for a database that another process holds: a sender should hear A700 before it gives
# up by itself, which many do after 30 s.
PATIENCE_SECONDS = 10.0


def open_whole(path: Path) -> Database:
    """Open (or create) the database and bring its tables to the newest revision.

    Raises DatabaseUnusable, which names the way to mend it, when SQLite's quick check finds damage.
    """
    if path.exists() and (faults := find_faults(path)):
        raise damage_of(path, f"quick check says {' '.join(faults[0].split())}")
    database = Database(path, PATIENCE_SECONDS)
    database.migrate()
    return database
