"""The lock of a data folder: one node, or one verb that changes its files, at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import TextIO

from node.errors import SettingsError


def lock_folder(data: Path) -> TextIO:
    """Lock the data folder for this process; the lock ends with the file returned, or with the process.

    Raises SettingsError when another process holds it.
    """
    lock = (data / "node.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise SettingsError(
            f"{data}: another radnode uses this data folder; stop it, or set RADNODE_DATA to another"
        ) from None
    return lock
