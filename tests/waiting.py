"""Waiting for what a test needs: far longer than it takes, for a machine may be busy with something else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 120.0


def until(is_so: Callable[[], object], log: Path | None = None, patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Return once something is so; show how a log ends when it does not become so.

    The longer it takes, the longer are the pauses: to look costs the processors that what is waited for needs.
    """
    began = time.monotonic()
    while not is_so():
        waited = time.monotonic() - began
        if waited > patience_seconds:
            ending = f"; {log} ends:\n{log.read_text()[-3000:]}" if log else ""
            raise AssertionError(f"not so after {patience_seconds:g} s{ending}")
        time.sleep(min(max(waited / 20, 0.01), 0.25))


def ends(call: Callable[[], object]) -> bool:
    """Tell whether a call comes to its end, where one that does not must not keep the test."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(PATIENCE_SECONDS)
    return not thread.is_alive()
