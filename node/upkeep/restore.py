"""Restore: a backup's database in place of the node's, and the files that are missing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from node.database.failures import damage_of
from node.database.inspection import current_revision, find_faults, kept_files
from node.database.revisions import known_revisions
from node.errors import DatabaseUnusable
from node.upkeep.copies import DATABASE_NAME, Copied, place_database, place_file, set_aside


class Restore:
    """Puts a backup back; to be used while the node is stopped and its data folder locked.

    No file is overwritten or removed: a name is made from its content. The database in place is kept aside.
    """

    def __init__(self, backup: Path, database_file: Path, data: Path) -> None:
        """Look at the backup first; raises DatabaseUnusable when there is none, or none of this version."""
        self._backup = backup
        self._source = backup / DATABASE_NAME
        self._database_file = database_file
        self._data = data
        self._check()

    def paths(self) -> list[str]:
        """Return the files that rows of the backup refer to."""
        return list(kept_files(self._source))

    def copy(self, paths: list[str]) -> Iterator[Copied]:
        """Put one file after another back where it is missing."""
        for path in paths:
            yield place_file(self._backup / path, self._data / path)
        os.sync()

    def replace_database(self, suffix: str) -> Path:
        """Put the backup's database in place; return where the old one is, its name followed by `suffix`."""
        aside = set_aside(self._database_file, suffix)
        place_database(self._source, self._database_file)
        return aside

    def _check(self) -> None:
        if not self._source.is_file():
            raise DatabaseUnusable(f"{self._source}: no such file; give the folder that `radnode backup` wrote to")
        if faults := find_faults(self._source):
            raise damage_of(self._source, f"quick check says {faults[0]}")
        found = current_revision(self._source)
        if found not in known_revisions():
            raise DatabaseUnusable(
                f"{self._source}: its tables are at {found or 'none'}, which this version of radnode does not know; "
                "install the version that made the backup, or a newer one"
            )
