"""Waiting for what a test needs: far longer than it takes, for a machine may be busy with something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 120.0


def until(is_so: Callable[[], bool], log: Path | None = None) -> None:
    """Return once something is so; show how a log ends when it does not become so."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            ending = f"; {log} ends:\n{log.read_text()[-3000:]}" if log else ""
            raise AssertionError(f"not so after {PATIENCE_SECONDS:g} s{ending}")
        time.sleep(0.02)
