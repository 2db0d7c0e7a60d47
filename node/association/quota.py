"""Bounds how often a stranger can make us write something down, so that nobody fills the disk with our log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Quota:
    """So many a minute; the rest are only counted."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._since = monotonic()
        self._taken = 0
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many were left out since the last one taken, or None to leave out this one."""
        with self._lock:
            if self._monotonic() - self._since >= 60.0:
                self._since, self._taken = self._monotonic(), 0
            if self._taken >= self._per_minute:
                self._left_out += 1
                return None
            self._taken += 1
            left_out, self._left_out = self._left_out, 0
            return left_out
