"""The worker process: claims jobs one after another and never answers a peer.

It is started confined, by `node.inference.confinement`, and ends by itself when the node that started it
is gone, also when that happened before it could look.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from node.archive import Archive
from node.catalog import site_catalog
from node.clock import SystemClock
from node.database import Database
from node.errors import DatabaseBusy, LeaseLost
from node.inference.execution import Execution, Station
from node.inference.limits import WorkLimits, limits_of, most_samples_of
from node.inference.pulse import Pulse
from node.inference.serving import import_library, serving_of
from node.inference.supervisor import DEADLINE_EXIT, FENCED_EXIT
from node.jobs.queue import Claim, JobQueue
from node.logs import configure_logs, log_failure
from node.results.profiles import kinds_for
from node.settings import Settings, load_settings

logger = logging.getLogger("radnode.worker")

POLL_SECONDS = 0.05
# How long a job that was taken from its worker has to notice; a network that hangs never does.
GRACE_SECONDS = 2.0


@dataclass(frozen=True)
class Post:
    """What a worker is to its node: the name it claims under, the node's process, and the pulse it hears."""

    name: str
    node_pid: int
    pulse: Pulse


class Worker:
    """Claims and runs jobs until it is told to stop or its node is gone."""

    def __init__(self, post: Post, limits: WorkLimits, queue: JobQueue, execution: Execution) -> None:
        """Claim under the name of its post, which the node uses to take jobs back when this process dies."""
        self._post = post
        self._limits = limits
        self._queue = queue
        self._execution = execution
        self._is_stopping = False

    def stop(self) -> None:
        """Finish the job at hand and claim no other; takes no lock, for a signal may come at any moment."""
        self._is_stopping = True

    def run(self) -> None:
        """Work until stopped."""
        while not self._is_stopping and os.getppid() == self._post.node_pid:
            self._post.pulse.beat()
            claim = self._claim()
            if claim is None:
                time.sleep(POLL_SECONDS)
            else:
                self._run_job(claim)

    def _claim(self) -> Claim | None:
        try:
            return self._queue.claim(self._post.name)
        except DatabaseBusy as busy:
            logger.warning("database busy", extra={"fields": {"reason": str(busy)}})
            return None

    def _run_job(self, claim: Claim) -> None:
        with _Lease(self._queue, claim, self._limits, self._post.pulse):
            try:
                self._execution.run(claim)
            except LeaseLost as lost:
                _note_lost(claim, lost)
            except MemoryError as error:
                log_failure(logger, "job attempt failed", error, job=claim.job_id)
                self._give_back(claim, f"MemoryError: {error or 'no memory left'}; see memory_mb of [workers]")
            except Exception as error:  # noqa: BLE001 - whatever a network raises costs this job one attempt
                log_failure(logger, "job attempt failed", error, job=claim.job_id)
                self._give_back(claim, f"{type(error).__name__}: {error}")

    def _give_back(self, claim: Claim, reason: str) -> None:
        try:
            self._queue.fail(claim, reason)
        except LeaseLost as lost:
            _note_lost(claim, lost)


class _Lease:
    """Renews a claim from a thread of its own; ends the process at the deadline, or when the job is another's.

    A network that computes or hangs holds the main thread, so only the end of the process frees it.
    """

    def __init__(self, queue: JobQueue, claim: Claim, limits: WorkLimits, pulse: Pulse) -> None:
        self._queue = queue
        self._claim = claim
        self._pulse = pulse
        self._every_seconds = limits.renewal_seconds
        self._deadline = time.monotonic() + limits.deadline_of(claim.model)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _keep(self) -> None:
        while not self._ended.wait(min(self._every_seconds, max(0.0, self._deadline - time.monotonic()))):
            if time.monotonic() >= self._deadline:
                self._end_process()
            self._pulse.beat()
            try:
                self._queue.renew(self._claim)
            except DatabaseBusy:
                continue  # it may still be renewed in time
            except LeaseLost as lost:
                # A job that has just ended by itself has lost its lease too.
                if not self._ended.wait(GRACE_SECONDS):
                    _note_lost(self._claim, lost)
                    os._exit(FENCED_EXIT)
                return

    def _end_process(self) -> None:
        try:
            self._queue.fail(self._claim, "the deadline passed; its worker was ended")
        finally:
            os._exit(DEADLINE_EXIT)


def _note_lost(claim: Claim, lost: LeaseLost) -> None:
    logger.warning("lease lost", extra={"fields": {"job": claim.job_id, "reason": str(lost)}})


def main(config: str, node_pid: str, pulse: str) -> None:
    """Build this process's own parts from the same settings as the node's, and work once the node names its post."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the node too, which then ends its workers
    settings = load_settings(Path(config))
    configure_logs()
    clock = SystemClock()
    database = Database(settings.database_file)
    archive = Archive(settings.node.data, settings.archive.reserve_bytes)
    catalog = site_catalog(settings)
    lease_seconds, attempts = settings.workers.lease_seconds, settings.workers.attempts
    queue = JobQueue(database, clock, lease_seconds, attempts, wants=_wants(settings))
    serving, most_samples = serving_of(settings), most_samples_of(settings.workers)
    station = Station(settings.node.ae_title, most_samples, settings.workers.doubt_identity, serving)
    execution = Execution(database, archive, catalog, queue, station)
    import_library(serving)
    name = sys.stdin.readline().strip()
    if not name:
        return  # the node is gone, or has no post for it
    post = Post(name, int(node_pid), Pulse(int(pulse)))
    worker = Worker(post, limits_of(settings.workers, catalog), queue, execution)
    for model in sorted({rule.model for rule in settings.enabled_rules}):
        execution.warm_up(model)
    _end_between_jobs(worker.stop)
    worker.run()


def _wants(settings: Settings) -> Callable[[str, str], bool]:
    """Return whether a destination gets a kind of results: what suits its peer, or everything."""

    def wants(destination: str, kind: str) -> bool:
        peer = settings.peers.get(settings.peer_name(destination))
        return peer is None or kind in kinds_for(peer.results)

    return wants


def _end_between_jobs(stop: Callable[[], None]) -> None:
    """From now on let SIGTERM wait for the job at hand; until now it ended the process at once."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop()

    signal.signal(signal.SIGTERM, handle)
