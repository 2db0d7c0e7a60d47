"""Patience: how long to wait after a failure, of one delivery and of a whole destination."""

from __future__ import annotations

import random

from node.clock import doubled_seconds
from node.settings import DeliverySection

LONGEST_BREAK_SECONDS = 60.0


def wait_seconds(limits: DeliverySection, failures: int, jitter: random.Random) -> float:
    """Return how long to wait after so many failures in a row: doubled each time, bounded, and never in step."""
    wait = doubled_seconds(limits.first_retry_seconds, failures - 1, limits.longest_retry_seconds)
    return wait * jitter.uniform(0.8, 1.2)


class Breaker:
    """Keeps a destination that could not be reached from being tried for everything that waits for it.

    While it fails, one attempt at a time is made, never more than a minute apart, so that a
    destination that is back gets what waited for it at once. Only one thread at a time uses it.
    """

    def __init__(self, limits: DeliverySection, jitter: random.Random) -> None:
        self._limits = limits
        self._jitter = jitter
        self._failures = 0
        self._not_before_seconds = 0.0

    @property
    def failures(self) -> int:
        """Return how many attempts to reach the destination failed in a row."""
        return self._failures

    @property
    def is_failing(self) -> bool:
        """Tell whether the last attempt to reach the destination failed."""
        return self._failures > 0

    def is_waiting(self, boot_seconds: float) -> bool:
        """Tell whether it is too early for the next attempt."""
        return self.is_failing and boot_seconds < self._not_before_seconds

    def note_failure(self, boot_seconds: float) -> None:
        """Wait, longer than before, until the next attempt."""
        self._failures += 1
        wait = wait_seconds(self._limits, self._failures, self._jitter)
        self._not_before_seconds = boot_seconds + min(wait, LONGEST_BREAK_SECONDS)

    def note_success(self) -> None:
        """Let everything through again."""
        self._failures = 0


class Breakers(dict[str, Breaker]):
    """A breaker for each peer that is asked for, by name."""

    def __init__(self, limits: DeliverySection, jitter: random.Random) -> None:
        super().__init__()
        self._limits = limits
        self._jitter = jitter

    def __missing__(self, peer_name: str) -> Breaker:
        """Give a peer that nothing went wrong with yet a new one."""
        made = self[peer_name] = Breaker(self._limits, self._jitter)
        return made
