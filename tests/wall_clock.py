"""A wall clock that a test sets for one process and its children while they run; other clocks go on as they are."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

_LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)

# Its clock_nanosleep (0.9.10) refuses times of the monotonic clock, up to which time.sleep waits.
_SLEEP = "import select, time\ntime.sleep = lambda seconds: select.select([], [], [], seconds) and None\n"

needs_faketime = pytest.mark.skipif(_LIBRARY is None, reason="needs the package faketime")


class WallClock:
    """What time it is for processes that are started with `environment`; `file` must be readable for them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._patches = file.with_suffix(".patches")
        self._patches.mkdir()
        (self._patches / "sitecustomize.py").write_text(_SLEEP)
        self.offsets: set[timedelta] = set()
        self.set(timedelta())

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "PYTHONPATH": os.pathsep.join((str(self._patches), os.environ.get("PYTHONPATH", ""))),
        }

    def set(self, offset: timedelta) -> None:
        """Let the clock be wrong by this from now on."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset.total_seconds():+.0f}\n")
        new.replace(self._file)
        self.offsets.add(offset)

    def forget(self, *processes: int) -> None:
        """Remove what libfaketime shares between the threads of a process, and leaves behind when that is killed."""
        for process in processes:
            for name in (f"faketime_shm_{process}", f"sem.faketime_sem_{process}"):
                Path("/dev/shm", name).unlink(missing_ok=True)

    def may_have_shown(self, time: datetime) -> bool:
        """Tell whether it ever showed this time, give or take half an hour."""
        return any(abs(datetime.now(UTC) + offset - time) < timedelta(minutes=30) for offset in self.offsets)
