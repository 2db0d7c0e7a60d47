"""Removal: files that leave the archive, in an order that a crash can interrupt anywhere."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node import faults
from node.archive.disk import create_file, move_durably, sync_file
from node.faults import FaultPoint

_SUFFIX = ".list"


class Arrivals:
    """The files that are on disk and not in the index yet: nobody may remove one of these."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: Counter[str] = Counter()

    def begin(self, path: str) -> None:
        """Protect a path (relative to the archive) before its file is there."""
        with self._lock:
            self._paths[path] += 1

    def end(self, path: str) -> None:
        """Give a path free: it is in the index now, or never will be."""
        with self._lock:
            self._paths[path] -= 1
            if self._paths[path] <= 0:
                del self._paths[path]

    @contextmanager
    def kept_out(self, path: str) -> Iterator[bool]:
        """Tell whether a path is free; until the block ends no arrival of it begins."""
        with self._lock:
            yield path not in self._paths


@dataclass(frozen=True)
class RemovalList:
    """Paths, relative to the archive, whose files may go as soon as no row refers to them."""

    file: Path
    paths: tuple[str, ...]


def write_removal_list(folder: Path, paths: Sequence[str]) -> RemovalList:
    """Write a list durably, before any row that refers to its paths changes."""
    name = uuid.uuid4().hex
    part, file = folder / f"{name}.part", folder / f"{name}{_SUFFIX}"
    with create_file(part) as opened:
        opened.write("\n".join(paths).encode())
        sync_file(opened)
    faults.reach(FaultPoint.REMOVAL_WRITTEN)
    move_durably(part, file)
    faults.reach(FaultPoint.REMOVAL_NAMED)
    return RemovalList(file, tuple(paths))


def read_removal_lists(folder: Path) -> list[RemovalList]:
    """Return the lists that an interrupted removal left, or that are not done with."""
    lists = sorted(folder.glob(f"*{_SUFFIX}"))
    return [RemovalList(file, tuple(file.read_text().split())) for file in lists]
