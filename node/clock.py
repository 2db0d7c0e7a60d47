"""Time as an argument: the wall clock for records, the boot clock for leases and quiet times."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_JUMP_SECONDS = 3600.0
_MOST_DOUBLINGS = 30


class Clock(Protocol):
    """Where every part gets the time from, so that tests can hand in their own."""

    @property
    def boot_id(self) -> str:
        """Name the boot that `boot_seconds` counts from; seconds of two boots do not compare."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC; it may jump."""

    def boot_seconds(self) -> float:
        """Return seconds since boot, which never go back and are one number for all processes."""


class JumpWatch:
    """Knows how far the wall clock has jumped since the watch began: what is old by it may be of today."""

    def __init__(self, clock: Clock) -> None:
        """Begin to watch."""
        self._clock = clock
        self._began_at = self._boot_time()

    def jump_seconds(self) -> float:
        """Return by how much the wall clock has moved against the boot clock."""
        return self._boot_time() - self._began_at

    def is_doubtful(self) -> bool:
        """Tell whether that is more than a clock that is only kept right."""
        return abs(self.jump_seconds()) > _JUMP_SECONDS

    def _boot_time(self) -> float:
        return self._clock.now().timestamp() - self._clock.boot_seconds()


class SystemClock:
    """The machine's own clocks."""

    @cached_property
    def boot_id(self) -> str:
        """Return the kernel's random identifier of this boot."""
        return _BOOT_ID.read_text().strip()

    def now(self) -> datetime:
        """Return the wall-clock time in UTC."""
        return datetime.now(UTC)

    def boot_seconds(self) -> float:
        """Return CLOCK_BOOTTIME, which goes on counting while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)


def doubled_seconds(seconds: float, doublings: int, longest_seconds: float) -> float:
    """Return a wait that was doubled so often, and is never longer than the longest."""
    return min(seconds * 2.0 ** min(doublings, _MOST_DOUBLINGS), longest_seconds)
