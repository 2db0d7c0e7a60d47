"""Which mount a folder is on, as the kernel lists them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True)
class Mount:
    """One line of proc's mountinfo: the device ("MAJOR:MINOR"), where it is mounted, its kind and its source."""

    device: str
    place: Path
    kind: str
    source: str


def mount_of(folder: Path, listed: Path = MOUNTS) -> Mount | None:
    """Return the mount that a folder is on, None where the kernel does not tell."""
    try:
        lines = [line.split() for line in listed.read_text().splitlines()]
    except OSError:
        return None
    resolved = folder.resolve()
    mounts: dict[Path, Mount] = {}
    for words in lines:  # a later mount at the same place hides the earlier one
        place, at = Path(words[4].replace("\\040", " ")), words.index("-")
        mounts[place] = Mount(words[2], place, words[at + 1], words[at + 2].replace("\\040", " "))
    within = [place for place in mounts if resolved.is_relative_to(place)]
    return mounts[max(within, key=lambda place: len(place.parts))] if within else None


def nearest(path: Path) -> Path:
    """Return the path, or the nearest folder above it that exists."""
    return next((folder for folder in (path, *path.parents) if folder.exists()), Path("/"))
