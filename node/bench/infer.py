"""Running networks as a worker serves them beside Keras' `predict`, from the start of a process to many answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from importlib.metadata import packages_distributions, version
from pathlib import Path

from node.bench.comparison import OURS, Task
from node.bench.cost import command_cost
from node.bench.first_result import WaitingRadiograph
from node.bench.infer_ways import PICTURE_RANK, VOLUME_RANK
from node.bench.performing import Performer, performers
from node.bench.plan import Benchmark, Plan
from node.bench.programs import environment
from node.catalog import Catalog, bundled_models

WAYS = {OURS: "node.bench.infer_ways:with_radnode", "keras predict()": "node.bench.infer_ways:with_keras"}
REDUCED = {f"{OURS}, precision = reduced": "node.bench.infer_ways:with_reduced"}
SCRIPT = "script with keras predict() and highdicom, SEG alone"
CALLS = 20
_MODULE = [sys.executable, "-m", "node.bench.infer_ways"]
_KERAS = [sys.executable, "-m", "node.bench.keras_start"]


def infer_tasks(plan: Plan) -> Iterator[Task]:
    """Yield pictures one by one and in batches, volumes, and cold starts; a quick run has no volumes.

    What starts does so when nothing else runs a network, and has the cores for itself.
    """
    calls = 2 if plan.is_quick else CALLS
    picture = _prepare(PICTURE_RANK, plan)
    with ExitStack() as stack:
        pictures = performers(WAYS, picture, plan.folder / "pictures", stack)
        yield _task("picture by picture", 1, calls, pictures)
        if not plan.is_quick:
            yield _task("pictures in batches of 8", 8, calls // 4, pictures)
    yield _first_results(picture, plan)
    if plan.is_quick:
        return
    volume = _prepare(VOLUME_RANK, plan)
    ways = WAYS | REDUCED if _can_reduce() else WAYS
    with ExitStack() as stack:
        volumes = performers(ways, volume, plan.folder / "volumes", stack)
        yield _task("windows of a volume one by one", 1, calls // 4, volumes)
    yield _first_answers(volume)


def _task(what: str, batch: int, calls: int, started: Mapping[str, Performer]) -> Task:
    ways = {name: partial(performer.perform, str(batch), str(calls)) for name, performer in started.items()}
    return Task(f"segment {what}", batch * calls, "images", ways)


def _first_results(picture: tuple[str, ...], plan: Plan) -> Task:
    artefacts, name, *_ = picture
    model = Catalog([bundled_models()])[name]
    waiting = WaitingRadiograph(plan.folder / "radiograph", model, Path(artefacts))
    ways = {OURS: waiting.with_worker, SCRIPT: waiting.with_script}
    return Task("from the start of a worker to the results of a radiograph", 1, "starts", ways)


def _first_answers(volume: tuple[str, ...]) -> Task:
    artefacts, name, *sides = volume
    model = Catalog([bundled_models()])[name]
    commands = {
        OURS: [*_MODULE, "start", artefacts, name],
        "keras predict()": [*_KERAS, str(model.folder), str(model.weights), *sides],
    }
    ways = {way: partial(command_cost, command, environment()) for way, command in commands.items()}
    return Task("from the start of a process to its network's first answer on a window of a volume", 1, "starts", ways)


def _prepare(rank: int, plan: Plan) -> tuple[str, ...]:
    """Convert a model's network; return where to, its name and its shape. Done in a process, as this has no Keras."""
    plan.tell("converting a network")
    artefacts = str(plan.folder / "networks")
    command = [*_MODULE, "prepare", artefacts, str(rank)]
    answer = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return (artefacts, *map(str, json.loads(answer.stdout)))


def _can_reduce() -> bool:
    """Tell whether CPUs compute in 16 bits; asked in a process, for OpenVINO starts threads of its own."""
    answer = subprocess.run([*_MODULE, "reduces"], env=environment(), stdout=subprocess.PIPE, check=True)
    return bool(json.loads(answer.stdout))


def tensorflow_version() -> str:
    """Return the version of TensorFlow, under whichever name it is installed, "" without it."""
    names = packages_distributions().get("tensorflow", [])
    return version(names[0]) if names else ""


INFER = Benchmark(
    "infer",
    "The first bundled models that segment pictures and volumes, on noise, on the CPUs: in 32 bits, and in 16 where "
    "the model's card and the CPUs allow it. What starts has the machine to itself. A worker starts as a node starts "
    "it, finds a radiograph in the queue, asks the model's gate too, and is done when all results are on disk and the "
    "job's row says so.",
    lambda _: {
        OURS: version("radnode"),
        "openvino": version("openvino"),
        "keras": version("keras"),
        "tensorflow": tensorflow_version(),
    },
    infer_tasks,
)
