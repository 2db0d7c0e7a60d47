"""The supervisor: starts worker processes, ends one that hangs, gives its job back, and starts another."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from node.catalog import bundled_models
from node.inference.confinement import Terms, missing_protections
from node.inference.limits import memory_bytes_of
from node.inference.pulse import PulseMonitor
from node.jobs.queue import JobQueue
from node.settings import Settings

logger = logging.getLogger("radnode.supervisor")

LONGEST_PAUSE_SECONDS = 30.0
STEADY_SECONDS = 60.0
# Loading TensorFlow and every network may take minutes on a busy machine; nothing is heard meanwhile.
LONGEST_START_SECONDS = 900.0
SHORTEST_SILENCE_SECONDS = 5.0
DEADLINE_EXIT = 75  # a worker's exit code when its job took too long
FENCED_EXIT = 76  # and when its job was taken from it, as by a person who cancelled it
WORKER_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "2",  # warnings and errors only
    "KERAS_HOME": "/dev/null",  # a user's keras.json must not change what a network computes
    "SQLITE_TMPDIR": tempfile.gettempdir(),
}


@dataclass
class _Child:
    """A worker process, when it started, and how often in a row one died soon after its start."""

    name: str
    process: subprocess.Popen[bytes]
    pulse: PulseMonitor
    started: float
    early_deaths: int = 0


class Supervisor:
    """Keeps the workers of the settings running; call `check` every so often."""

    def __init__(self, config: Path, settings: Settings, queue: JobQueue) -> None:
        """Start workers that read their settings from `config`, which says what `settings` do."""
        self._config = config
        self._names = [f"worker-{number}" for number in range(1, settings.workers.count + 1)]
        self._longest_silence_seconds = max(settings.workers.lease_seconds, SHORTEST_SILENCE_SECONDS)
        self._terms = worker_terms(config, settings)
        self._queue = queue
        self._children: dict[str, _Child] = {}
        self._not_before: dict[str, float] = {}

    def start(self) -> None:
        """Take back what workers of an earlier run held, then start every worker."""
        self._queue.interrupt()
        if self._terms.is_confined:
            for what in missing_protections():
                logger.warning("workers are not confined", extra={"fields": {"missing": what}})
        for name in self._names:
            self._children[name] = self._spawn(name)

    def check(self) -> None:
        """Give back the jobs of workers that died or hang, and start them again, at growing intervals."""
        for name, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                self._end_if_silent(child)
            elif name not in self._not_before:
                self._bury(child, code)
            elif time.monotonic() >= self._not_before[name]:
                del self._not_before[name]
                self._children[name] = self._spawn(name, child.early_deaths)

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
            child.pulse.close()
        self._queue.interrupt()

    def _end_if_silent(self, child: _Child) -> None:
        """End a worker that hangs so that not even the thread that renews its lease goes on."""
        silent = child.pulse.silent_seconds()
        longest = self._longest_silence_seconds if child.pulse.has_beaten else LONGEST_START_SECONDS
        if silent > longest:
            logger.error("worker hangs", extra={"fields": {"worker": child.name, "silent_s": round(silent, 1)}})
            child.process.kill()
            child.process.wait()

    def _bury(self, child: _Child, code: int) -> None:
        child.pulse.close()
        is_early = code != FENCED_EXIT and time.monotonic() - child.started < STEADY_SECONDS
        child.early_deaths = child.early_deaths + 1 if is_early else 1
        pause = 0.0 if child.early_deaths == 1 else min(2.0 ** (child.early_deaths - 2), LONGEST_PAUSE_SECONDS)
        self._not_before[child.name] = time.monotonic() + pause
        released = self._queue.release(child.name, _describe_end(code))
        fields = {"worker": child.name, "exit_code": code, "jobs_released": released, "restart_in_s": pause}
        logger.error("worker died", extra={"fields": fields})

    def _spawn(self, name: str, early_deaths: int = 0) -> _Child:
        """Start a worker by module name, so that nothing of this process's memory is shared."""
        pulse = PulseMonitor()
        # -P: the folder the node was started in is none of the worker's business.
        command = [sys.executable, "-P", "-m", "node.inference.confinement", self._terms.to_json()]
        command += [str(self._config), name, str(os.getpid()), str(pulse.far_end)]
        environment = os.environ | WORKER_ENVIRONMENT
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, env=environment, pass_fds=(pulse.far_end,)
        )
        pulse.listen()
        return _Child(name, process, pulse, time.monotonic(), early_deaths)


def worker_terms(config: Path, settings: Settings) -> Terms:
    """Return what a worker needs: to read instances, models and settings, to change results and the database."""
    data, database = settings.node.data, settings.database_file
    beside = [database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm")]
    readable = [config.resolve().parent, data / "instances", bundled_models(), *settings.node.models]
    writable = [data / "incoming", data / "results", database, *beside]
    return Terms(
        readable=tuple(map(str, readable)),
        writable=tuple(map(str, writable)),
        memory_bytes=memory_bytes_of(settings.workers),
        is_confined=settings.workers.confined,
    )


def _describe_end(code: int) -> str:
    """Return how a process ended, by its exit code, which is negative after a signal."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
