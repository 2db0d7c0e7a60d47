"""A storage SCP as pynetdicom's documentation shows it, to compare with; run as a process of its own.

With a database as third argument it is as strict as the node, one file after the other: file and folder are flushed
and a row is committed before the answer.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import threading
from pathlib import Path

from pydicom.dataset import Dataset
from pynetdicom import AE, StoragePresentationContexts, evt
from pynetdicom.events import Event, EventHandlerType
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

SUCCESS = 0x0000


class Rows:
    """An index of one row an instance, on disk when `add` returns."""

    def __init__(self, file: Path) -> None:
        """Open the database, or make it."""
        self._connection = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute(
            "CREATE TABLE instance (sop_instance_uid TEXT PRIMARY KEY, study_uid TEXT, series_uid TEXT, path TEXT)"
        )

    def add(self, dataset: Dataset, path: Path) -> None:
        """Commit one row."""
        row = (dataset.SOPInstanceUID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID, str(path))
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO instance VALUES (?, ?, ?, ?)", row)


def store(event: Event, folder: Path, rows: Rows | None) -> int:
    """Answer C-STORE as documented; with rows, only after all is on disk."""
    dataset = event.dataset
    dataset.file_meta = event.file_meta
    path = folder / str(dataset.SOPInstanceUID)
    dataset.save_as(path, enforce_file_format=True)
    if rows is not None:
        _flush(path)
        _flush(folder)
        rows.add(dataset, path)
    return SUCCESS


def main(port: int, folder: Path, database: Path | None) -> None:
    """Serve until the process is ended."""
    rows = None if database is None else Rows(database)
    entity = AE()
    entity.supported_contexts = StoragePresentationContexts
    entity.add_supported_context(Verification)
    handlers: list[EventHandlerType] = [(evt.EVT_C_STORE, store, [folder, rows])]
    entity.start_server(("127.0.0.1", port), block=True, evt_handlers=handlers)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]) if len(sys.argv) > 3 else None)
