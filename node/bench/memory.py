"""Memory as it is on a server that has run for a while: hardly any free, the rest kept by the system as cached files.

A host takes back what a virtual machine leaves free, and each page that is given again costs microseconds: a new file
takes many times as long, and only receivers that keep what they get, as the node does, pay for it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO

from node.bench.comparison import Tell

_STEP_BYTES = 1 << 20
_MOST_FUTILE = 3  # shares in a row that came from other cached files, or while others gave memory back
_WORTH_TELLING_BYTES = 1 << 30
_SHARE_BYTES = 256 << 20  # at once; as much stays free, for the system would give up files that are in use for it


def free_memory_bytes() -> int:
    """Return how much memory holds nothing, not even a cached file (proc(5), MemFree)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemFree:")) * 1024


class Filler:
    """Fills memory with the zeros of a file that takes no space on disk, which the system gives up before others."""

    def __init__(self, file: IO[bytes], tell: Tell) -> None:
        """Use an empty file, as long as it is open; `tell` hears of what may take seconds."""
        self._descriptor = file.fileno()
        self._tell = tell
        self._end = 0

    def fill_free(self) -> None:
        """Fill memory until no more of it gets used: hardly any is free, or we may not have more."""
        free, futile = free_memory_bytes(), 0
        if free > _WORTH_TELLING_BYTES and not self._end:
            self._tell(f"filling up to {free / 2**30:.1f} GiB of free memory with a cached file")
        while free > _SHARE_BYTES and futile < _MOST_FUTILE:
            self.fill(_SHARE_BYTES)
            before, free = free, free_memory_bytes()
            futile = 0 if before - free > _SHARE_BYTES / 2 else futile + 1

    def fill(self, size_bytes: int) -> None:
        """Fill so much more memory."""
        start, self._end = self._end, self._end + size_bytes
        os.truncate(self._descriptor, self._end)
        step = bytearray(_STEP_BYTES)
        for at in range(start, self._end, _STEP_BYTES):
            os.preadv(self._descriptor, [step], at)
