"""Says on what machine a benchmark ran: its processor, memory, disk and how busy it was."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Machine:
    """The machine as a reader needs to know it; `load` is what else it did: processes that wanted a CPU before."""

    processor: str
    cores: int
    memory_gib: float
    system: str
    disk: str
    python: str
    load: float


def describe_machine(folder: Path) -> Machine:
    """Return what this machine is; `folder` is where the benchmark's files lie."""
    return Machine(
        processor=_value_of(Path("/proc/cpuinfo"), "model name") or platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        system=f"{platform.system()} {platform.release()}",
        disk=_file_system(folder.resolve()),
        python=platform.python_version(),
        load=round(os.getloadavg()[0], 1),
    )


def _value_of(file: Path, key: str) -> str:
    lines = (line.partition(":") for line in file.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")


def _file_system(folder: Path) -> str:
    """Return kind and device of the file system that holds a folder."""
    mounts = {point: f"{kind} on {device}" for device, point, kind in _mounts()}
    return next((mounts[str(place)] for place in (folder, *folder.parents) if str(place) in mounts), "unknown")


def _mounts() -> Iterator[tuple[str, str, str]]:
    for line in Path("/proc/mounts").read_text().splitlines():
        device, point, kind, *_ = line.split()
        yield device, point, kind
