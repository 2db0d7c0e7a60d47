"""Checks the database: that it is whole, at the newest migration, and that someone can write to it."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from node.database.inspection import (
    count_rows,
    current_revision,
    find_faults,
    journal_mode,
    lost_files,
    require_write_lock,
)
from node.database.revisions import known_revisions, newest_revision
from node.doctor.check import Check, Outcome, fault, fine, warning
from node.settings import Settings

LOCK_PATIENCE_SECONDS = 5.0
_TOLD = ("studies", "instances", "jobs", "results", "deliveries")


def database_checks(settings: Settings) -> list[Check]:
    """Return the checks of the database, or only that there is none yet."""
    path = settings.database_file
    if not path.is_file():
        return [Check("database", partial(_say_there_is_none, path))]
    return [
        Check("database: whole", partial(check_whole, path)),
        Check("database: migration", partial(check_revision, path)),
        Check("database: durable mode", partial(check_mode, path)),
        Check("database: lock", partial(check_lock, path, LOCK_PATIENCE_SECONDS)),
        Check("database: content", partial(tell_content, path)),
        Check("database: files", partial(check_files, path, settings.node.data)),
    ]


def check_whole(path: Path) -> Outcome:
    """Find damage, with SQLite's quick check."""
    faults = find_faults(path)
    if faults:
        return fault(
            f"{path}: damaged: {faults[0]}",
            "stop the node, then `radnode restore` the newest backup, or `radnode repair` to rebuild it from the files",
        )
    return fine(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


def check_revision(path: Path) -> Outcome:
    """Find tables that are older or newer than this version of radnode."""
    current, newest = current_revision(path), newest_revision()
    if current == newest:
        return fine(f"at the newest, {newest}")
    if current and current not in known_revisions():
        return fault(
            f"at {current}, which this version of radnode does not know; it knows up to {newest}",
            "install the version of radnode that last used this data folder, or a newer one",
        )
    return warning(
        f"at {current or 'none'}, the newest is {newest}",
        "back the file up; `radnode serve` brings it to the newest when it starts",
    )


def check_mode(path: Path) -> Outcome:
    """Find a database that is not in the mode in which readers and the writer do not wait for each other."""
    mode = journal_mode(path)
    if mode != "wal":
        return warning(f"journal mode {mode}, expected wal", "`radnode serve` sets it when it starts; start it once")
    return fine("write-ahead log")


def check_lock(path: Path, patience_seconds: float) -> Outcome:
    """Find another process that keeps the write lock; raises DatabaseBusy."""
    require_write_lock(path, patience_seconds)
    return fine("free to write")


def tell_content(path: Path) -> Outcome:
    """Tell how much is in it."""
    rows = count_rows(path)
    return fine(", ".join(f"{rows.get(name, 0)} {name}" for name in _TOLD))


def check_files(path: Path, data: Path) -> Outcome:
    """Find files that a start of the node missed, and that have not come back since."""
    lost = [name for name in lost_files(path) if not (data / name).exists()]
    if lost:
        return fault(
            f"{len(lost)} files are gone that rows refer to, the first {data / lost[0]}",
            "restore them with `radnode restore`, or have their studies sent again; `radnode studies list` shows "
            "which are held",
        )
    return fine("none was found missing when the node last started")


def _say_there_is_none(path: Path) -> Outcome:
    return warning(f"{path}: not there yet", "nothing, if this node is new: `radnode serve` makes it")
