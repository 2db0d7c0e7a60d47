"""What a piece of work cost: wall time, and CPU time and memory of a process with all that it started."""

from __future__ import annotations

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from node.errors import BenchFailed

SAMPLE_SECONDS = 0.05
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_PROC = Path("/proc")

Facts = Mapping[str, float | str]


@dataclass(frozen=True)
class Cost:
    """What one turn cost: seconds on the wall and of the CPUs, and by how many MiB memory grew at its peak.

    `facts` are what else came of it, such as how many associations were served, or a checksum.
    """

    seconds: float
    cpu_seconds: float
    memory_mib: float
    facts: Facts = field(default_factory=dict)


class Gauge:
    """Watches a process and its descendants while a block runs, from outside; a context manager."""

    def __init__(self, pid: int) -> None:
        """Watch the tree below this process."""
        self._pid = pid
        self._ended = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="gauge", daemon=True)

    def __enter__(self) -> Gauge:
        self._before = self._peak = memory_mib(self._pid)
        self._sampler.start()
        self._cpu_before = cpu_seconds(self._pid)
        self._started = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._seconds = time.perf_counter() - self._started
        self._cpu = cpu_seconds(self._pid) - self._cpu_before
        self._ended.set()
        self._sampler.join()

    def cost(self, **facts: float | str) -> Cost:
        """Return what the block cost."""
        return Cost(self._seconds, self._cpu, self._peak - self._before, facts)

    @property
    def peak_mib(self) -> float:
        """Return the memory of the tree at its peak."""
        return self._peak

    def _sample(self) -> None:
        while True:
            self._peak = max(self._peak, memory_mib(self._pid))
            if self._ended.wait(SAMPLE_SECONDS):
                return


def command_cost(command: Sequence[str], variables: Mapping[str, str]) -> Cost:
    """Run a command to its end and return what it cost, its memory from nothing.

    Raises BenchFailed, with what it said, when it does not end well.
    """
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        with Gauge(process.pid) as gauge:
            _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            end = said.read().decode(errors="replace").strip()[-500:]
            raise BenchFailed(f"{command[0]}: exit code {process.returncode}, expected 0; it said: {end}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, gauge.peak_mib)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants, those that have ended included, in steps of 10 ms."""
    ticks = 0
    for member in _tree(pid):
        fields = _read(_PROC / str(member) / "stat").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime of proc(5)
    return ticks / _TICKS


def memory_mib(pid: int) -> float:
    """Return the resident memory of a process and its descendants; what several share counts for each.

    To divide it among them (PSS) the kernel goes through all their pages, and takes a core from what is measured.
    """
    pages = sum(int(counts[1]) for member in _tree(pid) if (counts := _read(_PROC / str(member) / "statm").split()))
    return pages * _PAGE_BYTES / (1 << 20)


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants, by all threads that may have started them."""
    found, pending = [], [pid]
    while pending:
        found.append(member := pending.pop())
        for children in _files_of_children(member):
            pending += map(int, _read(children).split())
    return found


def _files_of_children(pid: int) -> list[Path]:
    """Return the files of /proc, one a thread, that list its children, none when the process has ended."""
    try:
        return [thread / "children" for thread in (_PROC / str(pid) / "task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _read(file: Path) -> str:
    """Return what a file of /proc says, "" when its process has ended."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
