"""Fault points: named moments at which a test lets the process die, fail or hang; in service they do nothing."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable, Mapping
from enum import StrEnum
from itertools import count
from pathlib import Path

FAULT_VARIABLE = "RADNODE_FAULT"  # NAME:kill|raise|hang[:NTH], NTH counts from 1
MARK_VARIABLE = "RADNODE_FAULT_MARK"  # a file made when the fault acts; while it exists none does


class FaultPoint(StrEnum):
    """What has just happened when a point is reached; `events.py` adds two for each event it records."""

    PART_OPENED = "part opened"
    PART_WRITTEN = "part written"
    PART_CHECKED = "part checked"
    PART_FLUSHED = "part flushed"
    INSTANCE_RENAMED = "instance renamed"
    JOURNAL_WRITTEN = "journal written"
    JOURNAL_FLUSHED = "journal flushed"
    JOURNAL_SETTLED = "journal settled"
    INSTANCE_ANSWERED = "instance answered"
    INSTANCE_NAMED = "instance named"
    INSTANCE_QUARANTINED = "instance quarantined"
    INSTANCE_DISCARDED = "instance discarded"
    RESULT_WRITTEN = "result written"
    RESULT_FLUSHED = "result flushed"
    RESULT_NAMED = "result named"
    REMOVAL_WRITTEN = "removal list written"
    REMOVAL_NAMED = "removal list named"
    FILE_REMOVED = "file removed"
    LIST_REMOVED = "removal list removed"
    WRITE_LOCKED = "write lock taken"
    ROWS_WRITTEN = "rows written"
    ROWS_COMMITTED = "rows committed"
    DELIVERY_ANSWERED = "delivery answered"


def _pass(_point: str) -> None:
    """Do nothing, which is what a point does unless a test says otherwise."""


def _arm(environment: Mapping[str, str]) -> Callable[[str], None]:
    """Return what every point calls: nothing, or the fault that the environment names."""
    if FAULT_VARIABLE not in environment:
        return _pass
    name, action, *rest = environment[FAULT_VARIABLE].split(":")
    act, wanted = _ACTIONS[action], int(rest[0]) if rest else 1
    mark = Path(environment[MARK_VARIABLE]) if MARK_VARIABLE in environment else None
    reached = count(1)

    def reach_armed(point: str) -> None:
        if point == name and next(reached) == wanted and _is_first(mark):
            act(point)

    return reach_armed


def _is_first(mark: Path | None) -> bool:
    """Make the mark; return False when it was there, from another process or an earlier run."""
    if mark is None:
        return True
    try:
        mark.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def _kill(_point: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _raise(point: str) -> None:
    raise OSError(errno.EIO, f"fault point {point!r}")


def _hang(_point: str) -> None:
    threading.Event().wait()


_ACTIONS: Mapping[str, Callable[[str], None]] = {"kill": _kill, "raise": _raise, "hang": _hang}

reach: Callable[[str], None] = _arm(os.environ)
