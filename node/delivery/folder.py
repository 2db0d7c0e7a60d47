"""Sending a folder: which of its files are DICOM."""

from __future__ import annotations

from pathlib import Path

from node.errors import NoInstances

_PREAMBLE_BYTES = 128
_MAGIC = b"DICM"


def find_instances(folder: Path) -> list[Path]:
    """Return the Part 10 files (PS3.10 7.1) in `folder` and below, sorted; other files are left out.

    Raises NoInstances when there is none.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found = [path for path in files if _is_part_10(path) and path.name != "DICOMDIR"]
    if not found:
        raise NoInstances(f"{folder}: no DICOM file in it (a Part 10 file has DICM at byte 128)")
    return found


def _is_part_10(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_PREAMBLE_BYTES)
        return file.read(len(_MAGIC)) == _MAGIC
