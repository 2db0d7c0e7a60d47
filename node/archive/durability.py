"""What it takes until an instance that has its name survives what is to be survived."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from node.archive.disk import sync_folders
from node.archive.part import Part
from node.rounds import Rounds

ReadCopy = Callable[[], bytes]


class Durability(Protocol):
    """Makes whole parts safe; who waits for `secure` may count on the instance from then on."""

    def secure(self, part: Part, relative: str, association_id: int) -> ReadCopy | None:
        """Return once a part is safe: None under its final path under the root, or what reads the copy that is.

        The copy can be read until `settle` is called.
        """

    def settle(self, relative: str) -> None:
        """Hear that an arrived file has its row, or will have none."""

    def flush(self) -> None:
        """Return once every settled file is on the device where it lies, so that it may be moved or removed."""


class EachFlushed:
    """Flushes each file and its name: no loss of power can take them. Associations share the flush of names."""

    def __init__(self, root: Path) -> None:
        """Work in the archive at `root`."""
        self._root = root
        self._names = Rounds(sync_folders)

    def secure(self, part: Part, relative: str, association_id: int) -> None:  # noqa: ARG002 - the journal's need
        """Flush the file, rename it, flush its folder."""
        target = self._root / relative
        part.sync()
        part.move(target)
        self._names.join(target.parent)

    def settle(self, relative: str) -> None:
        """Do nothing: it is safe already."""

    def flush(self) -> None:
        """Do nothing: all is flushed."""


class Unflushed:
    """Leaves flushing to the system: the death of the process takes nothing, the loss of power the last seconds."""

    def __init__(self, root: Path) -> None:
        """Work in the archive at `root`."""
        self._root = root

    def secure(self, part: Part, relative: str, association_id: int) -> None:  # noqa: ARG002 - the journal's need
        """Rename the file."""
        part.close()
        part.move(self._root / relative)

    def settle(self, relative: str) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing: what has no promise needs no flush."""
