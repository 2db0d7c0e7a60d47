"""Runs a receiver as a process of its own for as long as a benchmark needs it."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from node.bench.cost import cpu_seconds
from node.bench.network import LOOPBACK, answers, free_port
from node.bench.plan import Plan
from node.bench.programs import KEPT, Program, environment
from node.errors import BenchFailed
from node.vocabulary import PeerAddress

START_SECONDS = 120.0
STOP_SECONDS = 30.0
IDLE_SHARE = 0.2  # of one CPU; a node looks into its database while it waits
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Running:
    """A receiver that listens, and its process."""

    program: Program
    address: PeerAddress
    pid: int
    folder: Path

    def forget(self) -> None:
        """Empty the files it has received, where it does not keep account of them."""
        if self.program.forgets:
            empty_files(self.folder / KEPT)


def start(programs: Sequence[Program], folder: Path, plan: Plan) -> list[Running]:
    """Start each program that is installed, to run as long as the plan's stack is open, and wait until all are idle.

    Their files go below `folder`. Raises BenchFailed, with where its log is, for one that does not come to listen.
    """
    started = []
    for number, program in enumerate(programs):
        if program.version:
            plan.tell(f"starting {program.name} {program.version}")
            started.append(plan.stack.enter_context(_running(program, folder / f"receiver{number}")))
    for receiver in started:
        if not answers(receiver.address.port, START_SECONDS):
            raise BenchFailed(
                f"{receiver.program.name}: does not listen, expected it to within {START_SECONDS:.0f} s; see "
                f"{receiver.folder}/log"
            )
    for receiver in started:
        wait_until_idle(receiver.pid)
    return started


def empty_files(folder: Path) -> None:
    """Give back the space of the files in a folder, whose names stay.

    For minutes after files were removed, ext4 without a journal passes over their inodes, one by one, for each new
    file near them; so whoever came next paid for it.
    """
    for path in folder.iterdir():
        os.truncate(path, 0)


@contextmanager
def _running(program: Program, folder: Path) -> Iterator[Running]:
    """Run a program until the block ends."""
    (folder / KEPT).mkdir(parents=True)
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            program.command(folder, port),
            env=environment(program.variables),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield Running(program, PeerAddress(program.ae_title, LOOPBACK, port), process.pid, folder)
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_idle(pid: int) -> None:
    """Return once the process and what it started have done what they do at their start."""
    deadline = time.monotonic() + START_SECONDS
    before = cpu_seconds(pid)
    quiet = 0
    while quiet < 2 and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        now = cpu_seconds(pid)
        quiet = quiet + 1 if now - before < IDLE_SHARE * LOOK_SECONDS else 0
        before = now
