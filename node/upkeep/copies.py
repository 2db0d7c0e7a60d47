"""Copies of the database and of files, each under its name only once it is whole."""

from __future__ import annotations

import os
import shutil
from enum import StrEnum
from pathlib import Path

from node.archive.disk import create_file, move_durably, sync_file
from node.database.inspection import copy_database

DATABASE_NAME = "radnode.db"
_SIDES = ("", "-wal", "-shm")  # of a SQLite database in write-ahead mode


class Copied(StrEnum):
    """How a file came to a place."""

    LINKED = "linked"  # the same file under a second name: it outlives a removal, not the disk
    COPIED = "copied"
    KEPT = "kept"  # it was there
    MISSING = "missing"  # and is not where it should come from either


def place_file(source: Path, target: Path) -> Copied:
    """Let a file that never changes lie at `target` too: linked within a file system, else copied."""
    if target.exists():
        return Copied.KEPT
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileNotFoundError:
        return Copied.MISSING
    except OSError:
        return _copy(source, target)
    return Copied.LINKED


def place_database(source: Path, target: Path) -> None:
    """Put a consistent copy of a database, which may be in use, in the place of `target`, durably."""
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    copy_database(source, part)
    part.chmod(0o600)
    move_durably(part, target)


def set_aside(database_file: Path, suffix: str) -> Path:
    """Rename a database and what belongs to it, so that nothing of it is read by mistake; return its new path."""
    aside = database_file.with_name(f"{database_file.name}.{suffix}")
    for side in reversed(_SIDES):
        source = Path(f"{database_file}{side}")
        if source.exists():
            move_durably(source, Path(f"{aside}{side}"))
    return aside


def _copy(source: Path, target: Path) -> Copied:
    part = target.with_name(f"{target.name}.part")
    part.unlink(missing_ok=True)
    try:
        with source.open("rb") as original, create_file(part) as copy:
            shutil.copyfileobj(original, copy)
            sync_file(copy)
    except FileNotFoundError:
        return Copied.MISSING
    part.rename(target)
    return Copied.COPIED
