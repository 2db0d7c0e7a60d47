"""highdicom's table of which attributes each module of DICOM has, read module by module as it is asked.

Its file is 22 MB of JSON. Read as a whole, as highdicom does for the first object that it makes, it takes 70 MiB of a
worker for good, 110 MiB for a moment, and half a second; a worker's results need a hundredth of it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import highdicom
from highdicom import _standard_utils

FILE = Path(highdicom.__file__).parent / "_standard" / "module_attribute_map.json"
READS_WHOLE = "get_module_attribute_map"

Attributes = list[dict[str, Any]]

_BLOCK_BYTES = 1 << 20
# What is deeper in the JSON is indented by more. It begins with what is sought for quickly.
_OPENING = re.compile(rb'\n  "([^"\n]+)": (?=\[)')


class StandardModules(Mapping[str, Attributes]):
    """The attributes of each module, by the module's name, as highdicom's own table has them."""

    def __init__(self, file: Path) -> None:
        """Find where each module begins in the file, of which little is in memory at a time."""
        self._file = file
        with file.open("rb") as content:
            self._starts = dict(_starts(content))
        self._read = cache(self._read_module)

    def __getitem__(self, name: str) -> Attributes:
        """Return the attributes of a module, read once; raises KeyError where there is no such module."""
        return self._read(name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all modules."""
        return iter(self._starts)

    def __len__(self) -> int:
        """Return how many modules there are."""
        return len(self._starts)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is such a module, without reading it."""
        return name in self._starts

    def _read_module(self, name: str) -> Attributes:
        start = self._starts[name]
        end = min((other for other in self._starts.values() if other > start), default=None)
        with self._file.open("rb") as content:
            content.seek(start)
            text = content.read(-1 if end is None else end - start).decode()
        attributes: Attributes = json.JSONDecoder().raw_decode(text)[0]
        return attributes


def read_modules_one_by_one() -> None:
    """Have highdicom look modules up here from now on; its version is pinned, and tests compare the tables."""
    whole = getattr(_standard_utils, READS_WHOLE)
    modules = cache(lambda: StandardModules(FILE))
    for module in [module for name, module in sys.modules.items() if name.partition(".")[0] == "highdicom"]:
        if getattr(module, READS_WHOLE, None) is whole:
            setattr(module, READS_WHOLE, modules)


def _starts(content: BinaryIO) -> Iterator[tuple[str, int]]:
    """Yield the name of each module, and where its list of attributes begins."""
    at, rest = -1, b"\n"  # as if the file began with the end of a line
    while block := content.read(_BLOCK_BYTES):
        lines, _, last = (rest + block).rpartition(b"\n")
        yield from ((opening[1].decode(), at + opening.end()) for opening in _OPENING.finditer(lines))
        at, rest = at + len(lines), b"\n" + last
