"""The supervisor: starts worker processes, gives a dead one's job back, and starts another."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from node.jobs.queue import JobQueue

logger = logging.getLogger("radnode.supervisor")

LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
DEADLINE_EXIT = 75  # a worker's exit code when its job took too long
FENCED_EXIT = 76  # and when its job was taken from it, as by a person who cancelled it
QUIET_TENSORFLOW = {"TF_CPP_MIN_LOG_LEVEL": "2"}  # warnings and errors only


@dataclass
class _Child:
    """A worker process, when it started, and how often in a row one died soon after its start."""

    name: str
    process: subprocess.Popen[bytes]
    started: float
    early_deaths: int = 0


class Supervisor:
    """Keeps `count` worker processes running; call `check` every so often."""

    def __init__(self, config: Path, count: int, queue: JobQueue) -> None:
        """Start workers that read their settings from `config`."""
        self._config = config
        self._names = [f"worker-{number}" for number in range(1, count + 1)]
        self._queue = queue
        self._children: dict[str, _Child] = {}
        self._not_before: dict[str, float] = {}

    def start(self) -> None:
        """Take back what workers of an earlier run held, then start every worker."""
        self._queue.release()
        for name in self._names:
            self._children[name] = _Child(name, self._spawn(name), time.monotonic())

    def check(self) -> None:
        """Give back the jobs of workers that died and start them again, at growing intervals."""
        for name, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                continue
            if name not in self._not_before:
                self._bury(child, code)
            elif time.monotonic() >= self._not_before[name]:
                del self._not_before[name]
                self._children[name] = _Child(
                    name, self._spawn(name), time.monotonic(), child.early_deaths
                )

    def stop(self, timeout_seconds: float) -> None:
        """Let each worker finish its job, and end those that take longer than `timeout_seconds`."""
        for child in self._children.values():
            child.process.terminate()
        deadline = time.monotonic() + timeout_seconds
        for child in self._children.values():
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()
        self._queue.release()

    def _bury(self, child: _Child, code: int) -> None:
        is_early = code != FENCED_EXIT and time.monotonic() - child.started < STEADY_SECONDS
        child.early_deaths = child.early_deaths + 1 if is_early else 1
        pause = 0.0 if child.early_deaths == 1 else min(2.0 ** (child.early_deaths - 2), LONGEST_PAUSE_SECONDS)
        self._not_before[child.name] = time.monotonic() + pause
        released = self._queue.release(child.name)
        fields = {"worker": child.name, "exit_code": code, "jobs_released": released, "restart_in_s": pause}
        logger.error("worker died", extra={"fields": fields})

    def _spawn(self, name: str) -> subprocess.Popen[bytes]:
        """Start a worker by module name, so that nothing of this process's memory is shared."""
        command = [sys.executable, "-m", "node.inference.worker", str(self._config), name, str(os.getpid())]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | QUIET_TENSORFLOW)
