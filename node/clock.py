"""Time as an argument: the wall clock for records, the boot clock for leases and quiet times."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """Where every part gets the time from, so that tests can hand in their own."""

    @property
    def boot_id(self) -> str:
        """Name the boot that `boot_seconds` counts from; seconds of two boots do not compare."""

    def now(self) -> datetime:
        """Return the wall-clock time in UTC; it may jump."""

    def boot_seconds(self) -> float:
        """Return seconds since boot, which never go back and are one number for all processes."""


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
