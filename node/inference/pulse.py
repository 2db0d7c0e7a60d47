"""The pulse: a worker shows its node that it goes on, over a pipe, so that one that hangs is noticed."""

from __future__ import annotations

import os
import time
from contextlib import suppress

_READ_AT_ONCE = 1 << 16


class Pulse:
    """The worker's end: it beats between jobs and whenever it renews a lease."""

    def __init__(self, descriptor: int) -> None:
        """Beat on this pipe, which the node gave it."""
        self._descriptor = descriptor
        os.set_blocking(descriptor, False)

    def beat(self) -> None:
        """Say that this process goes on; a node that does not listen, or is gone, changes nothing."""
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(self._descriptor, b".")


class PulseMonitor:
    """The node's end."""

    def __init__(self) -> None:
        """Make a pipe; `far_end` is to be handed to the worker, then closed here by `listen`."""
        self._near_end, self.far_end = os.pipe()
        os.set_blocking(self._near_end, False)
        self._heard_at = time.monotonic()
        self.has_beaten = False
        self._is_closed = False

    def expect(self) -> None:
        """Wait for a first beat, from now on."""
        self._heard_at, self.has_beaten = time.monotonic(), False

    def listen(self) -> None:
        """Leave the far end to the worker, which has it by now."""
        os.close(self.far_end)

    def silent_seconds(self) -> float:
        """Return for how long nothing was heard; before the first beat, since the start."""
        with suppress(BlockingIOError):
            if os.read(self._near_end, _READ_AT_ONCE):
                self._heard_at, self.has_beaten = time.monotonic(), True
        return time.monotonic() - self._heard_at

    def close(self) -> None:
        """Forget a worker that has ended; closing twice changes nothing."""
        if not self._is_closed:
            os.close(self._near_end)
            self._is_closed = True
