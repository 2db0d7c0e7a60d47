"""The supervisor: starts worker processes, ends one that hangs, gives its job back, and has another take its post."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from node.archive.disk import make_folder
from node.catalog import bundled_models, site_catalog
from node.inference.builder import Builder
from node.inference.confinement import Terms, confined_command, missing_protections
from node.inference.limits import count_of, memory_bytes_of
from node.inference.pulse import PulseMonitor
from node.inference.serving import missing, models_of_rules, serving_of
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
    """A worker process, its post ("" while it stands by), since when, and how often in a row one died there soon."""

    process: subprocess.Popen[bytes]
    orders: IO[bytes]
    pulse: PulseMonitor
    name: str = ""
    started: float = 0.0
    early_deaths: int = 0

    def take_post(self, name: str, early_deaths: int) -> None:
        """Let it load the networks and claim jobs under this name, as soon as it is ready to."""
        self.name, self.early_deaths, self.started = name, early_deaths, time.monotonic()
        self.pulse.expect()
        with suppress(BrokenPipeError), self.orders:  # it may have died by now, which `check` will see
            self.orders.write(f"{name}\n".encode())

    def end(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Forget one that has ended."""
        self.orders.close()
        self.pulse.close()


class Supervisor:
    """Keeps the workers of the settings running; call `check` every so often."""

    def __init__(self, config: Path, settings: Settings, queue: JobQueue) -> None:
        """Start workers that read their settings from `config`, which says what `settings` do."""
        self._config = config
        self._names = [f"worker-{number}" for number in range(1, count_of(settings.workers) + 1)]
        self._longest_silence_seconds = max(settings.workers.lease_seconds, SHORTEST_SILENCE_SECONDS)
        self._terms = worker_terms(config, settings)
        self._environment = os.environ | WORKER_ENVIRONMENT | _threads(settings.workers.threads)
        self._queue = queue
        self._serving = serving_of(settings)
        self._models = models_of_rules(settings, site_catalog(settings))
        command = confined_command(builder_terms(config, settings), "building", str(config))
        self._builder = Builder(command, self._environment)
        self._children: dict[str, _Child] = {}
        self._not_before: dict[str, float] = {}
        self._wants_spare = settings.workers.spare
        self._spare: _Child | None = None
        self._no_spare_before = 0.0

    def start(self) -> None:
        """Take back what workers of an earlier run held, then start every worker, or first what they are to serve."""
        self._queue.interrupt()
        make_folder(self._serving.root)  # before a process is confined to it
        if self._terms.is_confined:
            for what in missing_protections():
                logger.warning("workers are not confined", extra={"fields": {"missing": what}})
        if self._names and missing(self._models, self._serving):
            self._builder.start()
        else:
            self._fill_posts()

    def check(self) -> None:
        """Give back the jobs of workers that died or hang, and fill their posts again, at growing intervals.

        All posts are filled once nothing is built any more, whatever came of that: Keras can serve too.
        """
        if self._builder.is_running:
            if self._builder.has_just_ended():
                self._fill_posts()
            return
        for name, child in list(self._children.items()):
            code = child.process.poll()
            if code is None:
                self._end_if_silent(child)
            elif name not in self._not_before:
                self._bury(child, code)
            elif time.monotonic() >= self._not_before[name]:
                del self._not_before[name]
                self._fill_post(name, child.early_deaths)
        if self._wants_spare:
            self._keep_spare()

    def stop(self, timeout_seconds: float) -> None:
        """Let each worker finish its job, and end those that take longer than `timeout_seconds`; end what builds."""
        self._builder.end()
        children = [*self._children.values(), *filter(None, [self._spare])]
        for child in children:
            child.process.terminate()
        deadline = time.monotonic() + timeout_seconds
        for child in children:
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.end()
            child.close()
        self._queue.interrupt()

    def _end_if_silent(self, child: _Child) -> None:
        """End a worker that hangs so that not even the thread that renews its lease goes on."""
        silent = child.pulse.silent_seconds()
        longest = self._longest_silence_seconds if child.pulse.has_beaten else LONGEST_START_SECONDS
        if silent > longest:
            logger.error("worker hangs", extra={"fields": {"worker": child.name, "silent_s": round(silent, 1)}})
            child.end()

    def _bury(self, child: _Child, code: int) -> None:
        child.close()
        released = self._queue.release(child.name, _describe_end(code))
        is_own_fault = not released and code != FENCED_EXIT
        is_early = is_own_fault and time.monotonic() - child.started < STEADY_SECONDS
        child.early_deaths = child.early_deaths + 1 if is_early else 1
        pause = 0.0 if child.early_deaths == 1 else min(2.0 ** (child.early_deaths - 2), LONGEST_PAUSE_SECONDS)
        self._not_before[child.name] = time.monotonic() + pause
        fields = {"worker": child.name, "exit_code": code, "jobs_released": released, "restart_in_s": pause}
        logger.error("worker died", extra={"fields": fields})

    def _fill_posts(self) -> None:
        for name in self._names:
            self._fill_post(name)

    def _fill_post(self, name: str, early_deaths: int = 0) -> None:
        """Give a post to the worker that stands by, or to a new one."""
        child, self._spare = self._spare or self._spawn(), None
        child.take_post(name, early_deaths)
        self._children[name] = child
        logger.info("worker takes its post", extra={"fields": {"worker": name, "pid": child.process.pid}})

    def _keep_spare(self) -> None:
        """Have one more worker stand by once all others work: what takes most of a start is then behind it."""
        if self._spare is not None and self._spare.process.poll() is not None:
            logger.warning("spare worker died", extra={"fields": {"exit_code": self._spare.process.returncode}})
            self._spare.close()
            self._spare, self._no_spare_before = None, time.monotonic() + LONGEST_PAUSE_SECONDS
        is_due = self._spare is None and time.monotonic() >= self._no_spare_before
        if is_due and all(child.pulse.has_beaten for child in self._children.values()):
            self._spare = self._spawn()

    def _spawn(self) -> _Child:
        """Start a worker by module name, so that nothing of this process's memory is shared; it stands by."""
        pulse = PulseMonitor()
        command = confined_command(self._terms, "worker", str(self._config), str(os.getpid()), str(pulse.far_end))
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, env=self._environment, pass_fds=(pulse.far_end,)
        )
        pulse.listen()
        assert process.stdin is not None
        return _Child(process, process.stdin, pulse)


def worker_terms(config: Path, settings: Settings) -> Terms:
    """Return what a worker needs: to read instances, models and settings, to change results and the database."""
    data, database = settings.node.data, settings.database_file
    beside = [database.with_name(f"{database.name}{suffix}") for suffix in ("-wal", "-shm")]
    readable = [*_code(config, settings), data / "instances", settings.artefacts_folder]
    writable = [data / "incoming", data / "results", database, *beside]
    return Terms(
        readable=tuple(map(str, readable)),
        writable=tuple(map(str, writable)),
        memory_bytes=memory_bytes_of(settings.workers),
        is_confined=settings.workers.confined,
    )


def builder_terms(config: Path, settings: Settings) -> Terms:
    """Return what building needs: to read models and settings, to change artefacts, and nothing of a patient."""
    return Terms(
        readable=tuple(map(str, _code(config, settings))),
        writable=(str(settings.artefacts_folder),),
        memory_bytes=memory_bytes_of(settings.workers),
        is_confined=settings.workers.confined,
    )


def _code(config: Path, settings: Settings) -> list[Path]:
    return [config.resolve().parent, bundled_models(), *settings.node.models]


def _threads(count: int) -> dict[str, str]:
    """Return the variables that tell TensorFlow how many CPU threads to take for one network; 0 lets it choose."""
    return {"TF_NUM_INTRAOP_THREADS": str(count), "TF_NUM_INTEROP_THREADS": "1"}


def _describe_end(code: int) -> str:
    """Return how a process ended, by its exit code, which is negative after a signal."""
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
