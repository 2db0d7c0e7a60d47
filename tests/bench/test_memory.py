"""Benchmarks find memory as a server has it: full of cached files."""

from __future__ import annotations

import ctypes
import mmap
import os
from pathlib import Path

from node.bench.memory import Filler, free_memory_bytes

SIZE = 8 << 20


def cached_pages(descriptor: int) -> int:
    """Return how many pages of a file are in memory (mincore(2))."""
    with mmap.mmap(descriptor, SIZE) as mapped:
        in_memory = (ctypes.c_ubyte * (SIZE // mmap.PAGESIZE))()
        start = ctypes.c_char.from_buffer(mapped)
        failed = ctypes.CDLL(None).mincore(ctypes.c_void_p(ctypes.addressof(start)), ctypes.c_size_t(SIZE), in_memory)
        del start  # a map that something refers to cannot be closed
    assert not failed
    return sum(page & 1 for page in in_memory)


def test_what_is_filled_takes_memory_and_no_disk(tmp_path: Path) -> None:
    with (tmp_path / "zeros").open("w+b") as file:
        filler = Filler(file, print)
        filler.fill(SIZE // 2)
        filler.fill(SIZE // 2)
        assert cached_pages(file.fileno()) == SIZE // mmap.PAGESIZE
        assert os.fstat(file.fileno()).st_blocks == 0


def test_free_memory_is_less_than_all() -> None:
    assert 0 < free_memory_bytes() < os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
