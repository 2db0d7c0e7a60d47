"""Memory as it is on a server that has run for a while: none of it free, all of it kept by the system as cached files.

A host takes back what a virtual machine leaves free, and each page that is given again costs microseconds: here a new
file took eight times as long, and only receivers that keep what they get, as the node does, paid for it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STEP_BYTES = 1 << 20


def free_memory_bytes() -> int:
    """Return how much memory holds nothing, not even a cached file (proc(5), MemFree)."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemFree:")) * 1024


@contextmanager
def cached_file(folder: Path, size_bytes: int) -> Iterator[int]:
    """Give the descriptor of a file of zeros that takes no space on disk, and is cached as far as memory goes.

    Whoever needs memory within the block takes that of this file, which the system gives up first.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        descriptor = file.fileno()
        os.truncate(descriptor, size_bytes)
        step = bytearray(_STEP_BYTES)
        for at in range(0, size_bytes, _STEP_BYTES):
            os.preadv(descriptor, [step], at)
        yield descriptor
