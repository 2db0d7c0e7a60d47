"""Backup: the database as of one moment, and every file that its rows refer to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from node.database.inspection import kept_files
from node.upkeep.copies import DATABASE_NAME, Copied, place_database, place_file

_UNDER_WAY = "radnode.db.new"
_QUARANTINE = "quarantine"


class Backup:
    """Copies a node's data to a folder while it runs; a folder that holds an older backup is brought up to date.

    The database is copied first, for every file it names is on disk before its row is; it takes its final
    name when the files are there, so that an interrupted backup leaves the older one.
    """

    def __init__(self, database_file: Path, data: Path, target: Path) -> None:
        """Copy `database_file` and the files of `data` to the folder `target`, which is made if need be."""
        self._data = data
        self._target = target
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._database = target / _UNDER_WAY
        place_database(database_file, self._database)

    def paths(self) -> list[str]:
        """Return what to copy: instances and results that have a row, and everything in quarantine."""
        quarantined = sorted(path.name for path in (self._data / _QUARANTINE).iterdir())
        return [*kept_files(self._database), *(f"{_QUARANTINE}/{name}" for name in quarantined)]

    def copy(self, paths: list[str]) -> Iterator[Copied]:
        """Copy one file after another, and make all of it durable at the end."""
        for path in paths:
            yield place_file(self._data / path, self._target / path)
        os.sync()
        self._database.replace(self._target / DATABASE_NAME)
        os.sync()
