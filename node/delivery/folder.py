"""Sending a folder: every DICOM file in it, with how each was answered."""

from __future__ import annotations

from pathlib import Path

_PREAMBLE_BYTES = 128
_MAGIC = b"DICM"


def find_instances(folder: Path) -> list[Path]:
    """Return the Part 10 files (PS3.10 7.1) in `folder` and below, sorted; other files are left out."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if _is_part_10(path) and path.name != "DICOMDIR"]


def _is_part_10(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_PREAMBLE_BYTES)
        return file.read(len(_MAGIC)) == _MAGIC
