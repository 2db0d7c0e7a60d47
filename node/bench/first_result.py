"""A worker from its start to its first results: one radiograph waits in a queue, and a script does it with Keras."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import deque
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from node.archive import AnnouncedInstance, Archive
from node.bench.cost import Cost, Gauge, command_cost
from node.bench.passage import make_up_radiograph
from node.bench.programs import environment
from node.catalog import Model, site_catalog
from node.clock import SystemClock
from node.database import Database, EventName
from node.demo.wrapping import write_instance
from node.errors import BenchFailed
from node.inference.confinement import confined_command
from node.inference.pulse import PulseMonitor
from node.inference.supervisor import WORKER_ENVIRONMENT, worker_terms
from node.settings import Settings, load_settings
from node.studies.assembly import Assembly
from node.studies.index import InstanceIndex

DATA = "data"
POST = "worker-1"
_DONE = f" {EventName.JOB_DONE} "
_ENDED_OTHERWISE = tuple(f" {event} " for event in (EventName.JOB_REFUSED, EventName.JOB_FAILED, EventName.STUDY_HELD))
_LINES = 5


class WaitingRadiograph:
    """A made-up radiograph, once in the queue of a node that does not run, and once as a file for a script."""

    def __init__(self, folder: Path, model: Model, artefacts: Path) -> None:
        """Write settings, data and file below `folder`; the only rule has `model` run, from these artefacts."""
        dataset = make_up_radiograph(1)
        self._model = model
        self._folder = folder
        self._file = write_instance(dataset, folder / "files")
        self._config = _write_config(folder, model.card.name, artefacts)
        self._settings = load_settings(self._config, {})
        _queue(dataset, self._settings)
        self._queued = folder / "queued"
        shutil.copytree(self._settings.node.data, self._queued)

    def with_worker(self) -> Cost:
        """Start a worker as a node does; it has taken its turn when its job is done: results on disk, row committed."""
        shutil.rmtree(self._settings.node.data)
        shutil.copytree(self._queued, self._settings.node.data)
        started = time.perf_counter()
        with self._started_worker() as worker:
            with Gauge(worker.pid) as gauge:
                _wait_for_its_job(worker)
            seconds = time.perf_counter() - started
            worker.terminate()
        return Cost(seconds, gauge.cost().cpu_seconds, gauge.peak_mib)

    def with_script(self) -> Cost:
        """Let a script segment the file with Keras."""
        words = [self._model.folder, self._model.weights, self._file, self._folder / "script.dcm"]
        return command_cost([sys.executable, "-m", "node.bench.keras_script", *map(str, words)], environment())

    def _started_worker(self) -> subprocess.Popen[str]:
        """Return a worker as the supervisor starts it, which has been given its post."""
        pulse = PulseMonitor()
        terms = worker_terms(self._config, self._settings)
        words = (str(self._config), str(os.getpid()), str(pulse.far_end))
        worker = subprocess.Popen(
            confined_command(terms, "worker", *words),
            env=environment() | WORKER_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(pulse.far_end,),
            text=True,
        )
        pulse.listen()
        pulse.close()  # whether it goes on is seen from its log
        assert worker.stdin is not None
        with worker.stdin as orders:
            orders.write(f"{POST}\n")
        return worker


def _wait_for_its_job(worker: subprocess.Popen[str]) -> None:
    """Return when the worker says that its job is done; raises BenchFailed, with what it said, when that is not so."""
    assert worker.stderr is not None
    said: deque[str] = deque(maxlen=_LINES)
    for line in worker.stderr:
        said.append(line)
        if _DONE in line:
            return
        if any(event in line for event in _ENDED_OTHERWISE):
            break
    raise BenchFailed(f"the worker did not do its job, expected results; it said: {''.join(said).strip()}")


def _write_config(folder: Path, model: str, artefacts: Path) -> Path:
    (folder / "peers.toml").touch()
    (folder / "routes.toml").write_text(f'[[rule]]\nname = "bench"\nmodel = "{model}"\ndestination = ["sender"]\n')
    config = folder / "node.toml"
    config.write_text(f'[node]\ndata = "{DATA}"\n\n[workers]\nartefacts = "{artefacts}"\n')
    return config


def _queue(dataset: Dataset, settings: Settings) -> None:
    """Have the instance received, its study complete and its job queued, as a node does."""
    clock, database, archive = SystemClock(), Database(settings.database_file), Archive(settings.node.data)
    database.migrate()
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, dataset)
    announced = AnnouncedInstance(dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)
    received = archive.keep(announced, encoded.getvalue())
    index = InstanceIndex(database, clock)
    association = index.open_association("BENCH", "127.0.0.1", settings.node.ae_title)
    index.record(received, association)
    index.close_association(association, "released")
    archive.settle(received)
    if not Assembly(database, settings, site_catalog(settings), clock).complete_quiet_studies():
        raise BenchFailed("the radiograph's study is not complete, expected a job in the queue")
    database.close()
