"""Verification: every file read from its first byte to its last, and compared with what its row states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from node.archive import Archive
from node.archive.reread import FileState, hash_file, state_of_file
from node.database.inspection import has_row, kept_files


@dataclass(frozen=True)
class VerifiedFile:
    """One file by its path in the archive, and what was found."""

    path: str
    state: FileState


def verify_files(database_file: Path, archive: Archive) -> Iterator[VerifiedFile]:
    """Read every file that a row refers to; one whose row went away meanwhile is left out."""
    for path, sha256 in kept_files(database_file).items():
        state = _look_at(archive, path, sha256)
        if state is FileState.WHOLE or has_row(database_file, path):
            yield VerifiedFile(path, state)


def _look_at(archive: Archive, path: str, sha256: str) -> FileState:
    """Compare a file with its row's hash: of an instance over its data set, of a result over all of it."""
    if path.startswith("results/"):
        return state_of_file(lambda: hash_file(archive.path_of(path)), sha256)
    return state_of_file(lambda: archive.examine(path).sha256, sha256)
