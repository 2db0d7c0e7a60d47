"""A clock that stands still until a test moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """Both clocks of the machine, moved by hand; `reboot` starts another boot."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
        self._seconds = 1000.0
        self.boot_id = "boot-1"

    def now(self) -> datetime:
        return self._now

    def boot_seconds(self) -> float:
        return self._seconds

    def pass_seconds(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._seconds += seconds

    def jump(self, by: timedelta) -> None:
        """Set the wall clock, and it alone, forward or back."""
        self._now += by

    def reboot(self) -> None:
        self.boot_id += "'"
        self._seconds = 1.0
