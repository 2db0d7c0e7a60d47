"""Peers that are programs: each in a process group of its own, which ends with all that it forked."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from waiting import until

_LONGEST_BYTES = 3000


@dataclass(frozen=True)
class Program:
    """A program that runs until its block ends, and the file that it prints to."""

    process: subprocess.Popen[bytes]
    printed: IO[bytes]

    def require(self) -> None:
        """Fail with what it printed where it has ended: nothing that is waited for comes any more."""
        if (code := self.process.poll()) is not None:
            length = os.fstat(self.printed.fileno()).st_size
            end = os.pread(self.printed.fileno(), _LONGEST_BYTES, max(0, length - _LONGEST_BYTES))
            raise AssertionError(f"{self.process.args} ended with {code} and said:\n{end.decode(errors='replace')}")

    def until(self, is_so: Callable[[], object]) -> None:
        """Wait until something is so of the program, which must run then."""

        def is_so_while_it_runs() -> object:
            self.require()
            return is_so()

        until(is_so_while_it_runs)
        self.require()  # something else may be what answers


@contextmanager
def program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run a program until the block ends."""
    with (
        tempfile.TemporaryFile() as printed,
        subprocess.Popen(command, stdout=printed, stderr=printed, env=environment, start_new_session=True) as process,
    ):
        try:
            yield Program(process, printed)
        finally:
            end_group(process.pid)


def end_group(group: int) -> None:
    """Kill a process and all that it forked; return once none of them runs, when their ports are free."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
    until(lambda: not _is_any_left(group))


def _is_any_left(group: int) -> bool:
    """Tell whether a process of the group runs; one that only waits to be waited for holds nothing."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _parent, its_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return True
    return False
