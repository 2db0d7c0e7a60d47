"""Running networks as a worker serves them beside Keras' `predict`, from the start of a process to many answers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from importlib.metadata import packages_distributions, version

from node.bench.comparison import OURS, Task
from node.bench.cost import command_cost
from node.bench.performing import Performer, performers
from node.bench.plan import Benchmark, Plan
from node.bench.programs import environment

WAYS = {OURS: "node.bench.infer_ways:with_radnode", "keras predict()": "node.bench.infer_ways:with_keras"}
STARTS = {OURS: "radnode", "keras predict()": "keras"}
CALLS = 20
PICTURE_RANK, VOLUME_RANK = 4, 5  # with the axes of the batch and the channels
_MODULE = [sys.executable, "-m", "node.bench.infer_ways"]


def infer_tasks(plan: Plan) -> Iterator[Task]:
    """Yield pictures one by one and in batches, volumes, and cold starts; a quick run has pictures alone."""
    calls = 2 if plan.is_quick else CALLS
    picture = _prepare(PICTURE_RANK, plan)
    pictures = performers(WAYS, picture, plan.folder / "pictures", plan.stack)
    yield _task("picture by picture", 1, calls, pictures)
    if plan.is_quick:
        return
    yield _task("pictures in batches of 8", 8, calls // 4, pictures)
    volume = _prepare(VOLUME_RANK, plan)
    volumes = performers(WAYS, volume, plan.folder / "volumes", plan.stack)
    yield _task("windows of a volume one by one", 1, calls // 4, volumes)
    for name, words in (("picture", picture), ("window of a volume", volume)):
        yield Task(
            f"from the start of a process to its first answer on a {name}",
            1,
            "starts",
            {way: partial(command_cost, [*_MODULE, word, *words], environment()) for way, word in STARTS.items()},
        )


def _task(what: str, batch: int, calls: int, started: Mapping[str, Performer]) -> Task:
    ways = {name: partial(performer.perform, str(batch), str(calls)) for name, performer in started.items()}
    return Task(f"segment {what}", batch * calls, "images", ways)


def _prepare(rank: int, plan: Plan) -> tuple[str, ...]:
    """Convert a model's network; return where to, its name and its shape. Done in a process, as this has no Keras."""
    plan.tell("converting a network")
    artefacts = str(plan.folder / "networks")
    command = [*_MODULE, "prepare", artefacts, str(rank)]
    answer = subprocess.run(command, env=environment(), stdout=subprocess.PIPE, check=True)
    return (artefacts, *map(str, json.loads(answer.stdout)))


def tensorflow_version() -> str:
    """Return the version of TensorFlow, under whichever name it is installed, "" without it."""
    names = packages_distributions().get("tensorflow", [])
    return version(names[0]) if names else ""


INFER = Benchmark(
    "infer",
    "The first bundled models that segment pictures and volumes, on noise, in fp32 on the CPUs.",
    lambda _: {
        OURS: version("radnode"),
        "openvino": version("openvino"),
        "keras": version("keras"),
        "tensorflow": tensorflow_version(),
    },
    infer_tasks,
)
