"""Forks nodes that a test may let die at a fault point: the libraries are loaded once, each node is its own process.

Reads one JSON object per line from standard input (`folder`, `fault`, `mark`, `verb`, `study`), forks a node that
serves the configuration in `folder`, or a process that does to a study what a person asked for, and prints its
process id. The node has no worker processes; a thread takes their
place that claims jobs and ends them as a worker does, without a network: it outlines a corner of the image,
refuses studies described as REFUSE, fails at those described as FAIL, and never ends those described as STALL.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from builders import chest_dx, shaded_picture
from pydicom.dataset import Dataset

from node import faults
from node.archive import Archive
from node.card import code_of
from node.clock import SystemClock
from node.database import Database, Job
from node.delivery.outbox import resend
from node.delivery.retention import Retention
from node.errors import LeaseLost
from node.jobs.queue import Claim, JobQueue, StoredResult
from node.logs import configure_logs
from node.results.encode import encode_results
from node.results.request import NodeDevice, ResultRequest
from node.service import Node
from node.settings import Settings, load_settings
from node.signals import end_signals
from node.studies.intervention import cancel_study, complete_study, release_study, retry_study
from node.studies.overview import list_deliveries
from node.vocabulary import Finding, ModelIdentity

WORKER = "stand-in"
MODEL = ModelIdentity("a_model", "A model", "1", "0" * 64)


class StandIn:
    """Claims and ends jobs as a worker does, with what a network would have found made up."""

    def __init__(self, settings: Settings) -> None:
        self._database = Database(settings.database_file)
        self._archive = Archive(settings.node.data, settings.archive.reserve_bytes)
        self._queue = JobQueue(self._database, SystemClock(), settings.workers.lease_seconds, attempts=3)

    def run(self, stopping: threading.Event) -> None:
        while not stopping.wait(0.03):
            try:
                claim = self._queue.claim(WORKER)
                if claim is not None:
                    self._run_job(claim)
            except OSError:  # a fault point; a worker would die of it, and its node give the job back
                self._queue.release(WORKER, "fault")

    def _run_job(self, claim: Claim) -> None:
        try:
            self._work(claim)
        except LeaseLost:
            pass
        except Exception as error:  # noqa: BLE001 - as in the worker
            self._give_back(claim, type(error).__name__)

    def _give_back(self, claim: Claim, reason: str) -> None:
        with suppress(LeaseLost):
            self._queue.fail(claim, reason)

    def _work(self, claim: Claim) -> None:
        self._queue.renew(claim)
        with self._database.reading() as session:
            job = session.get_one(Job, claim.job_id)
            sources = [self._archive.read(entry.instance.path) for entry in job.inputs]
            digest = job.inputs_digest
        match sources[0].StudyDescription:
            case "REFUSE":
                self._queue.refuse(claim, "the test wants it refused")
                return
            case "STALL":
                return
            case "FAIL":
                raise ZeroDivisionError
        request = request_of(sources[0], digest, replace(MODEL, name=claim.model, sha256=claim.model_sha256))
        results = [
            StoredResult(str(r.kind), r.sop_class_uid, r.sop_instance_uid, r.series_instance_uid,
                         *self._archive.store_result(r.encoded))
            for r in encode_results(replace(request, pinned_at=claim.created_at))
        ]  # fmt: skip
        self._queue.finish(claim, results)


def request_of(source: Dataset, digest: str, model: ModelIdentity) -> ResultRequest:
    """Return what is to be encoded when a corner of the image was outlined."""
    mask = np.zeros((source.Rows, source.Columns), bool)
    mask[1:4, 1:4] = True
    finding = Finding("lung", "Lung", code_of("AnatomicalStructure"), code_of("Lung"), None, (9, 9, 9), mask)
    return ResultRequest(
        sources=(source,), findings=(finding,), remarks=(), inputs_digest=digest, model=model,
        pinned_at=datetime(2026, 1, 2, tzinfo=UTC), device=NodeDevice("RADNODE", "0"),
    )  # fmt: skip


def remove_when_asked(node: Node, settings: Settings, stopping: threading.Event) -> None:
    """Make a pass of the retention, which thinks that every study ended long ago, whenever the test asks for it."""
    asked = settings.node.data.parent / "remove"
    retention = Retention(node._database, node._archive, SystemClock(), keep_days=1e-9)
    while not stopping.wait(0.03):
        if asked.exists():
            try:
                while retention.remove_expired():
                    pass
            except OSError:  # a fault point; the node's own loop tries again
                continue
            asked.unlink()


def resend_all(database: Database, clock: SystemClock, _study_uid: str) -> None:
    resend(database, clock, [line.delivery for line in list_deliveries(database)])


VERBS = {
    "cancel": cancel_study,
    "complete": complete_study,
    "release": release_study,
    "resend": resend_all,
    "retry": retry_study,
}


def obey(order: dict[str, Any]) -> None:
    """Arm the fault, then do as a person asked or be a node."""
    if order["fault"]:
        os.environ |= {faults.FAULT_VARIABLE: order["fault"], faults.MARK_VARIABLE: order["mark"]}
        importlib.reload(faults)
    configure_logs()
    folder = Path(order["folder"])
    settings = load_settings(folder / "node.toml")
    if order["verb"]:
        VERBS[order["verb"]](Database(settings.database_file), SystemClock(), order["study"])
        os._exit(0)
    serve(folder, settings)


def serve(folder: Path, settings: Settings) -> None:
    none = settings.workers.model_copy(update={"count": -1, "spare": False, "memory_mb": 1024})
    settings = settings.model_copy(update={"workers": none})
    node = Node(folder / "node.toml", settings, SystemClock())
    stopping = threading.Event()
    with end_signals() as wait_for_end:
        node.start()
        for target, arguments in ((StandIn(settings).run, ()), (remove_when_asked, (node, settings))):
            threading.Thread(target=target, args=(*arguments, stopping), daemon=True).start()
        wait_for_end()
        stopping.set()
        node.stop()


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # so that the dead need nobody to wait for them
    encode_results(request_of(chest_dx(shaded_picture(16, 16)), "0" * 64, MODEL))  # what a first encoding loads
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child:
            print(child, flush=True)
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        with Path(order["folder"], "node.log").open("ab", buffering=0) as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        try:
            obey(order)
        except Exception:  # noqa: BLE001 - for whoever reads the node's log
            traceback.print_exc()
        finally:
            os._exit(1)


if __name__ == "__main__":
    main()
