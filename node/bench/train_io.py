"""Feeding volumes to a training: the node's sources beside tf.data, as its documentation and DLTK's show it.

The comparison of Pawlowski N et al.: An Introduction to Biomedical Image Analysis with TensorFlow and DLTK,
2018, without a network: only how long the batches take. There: memory 5.6 s, records 31.1 s, generator 123.5 s.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from node.bench.comparison import OURS, Task
from node.bench.infer import tensorflow_version
from node.bench.performing import performers
from node.bench.plan import Benchmark, Plan
from node.errors import BenchFailed
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import write_volume_file

VOLUMES, QUICK_VOLUMES = 24, 4
BATCH = 4
SHAPE = (90, 110, 90)
MEMORY, RECORDS, FILES = "memory", "records", "files"
EPOCHS = {MEMORY: 20, RECORDS: 1, FILES: 1}  # of memory, one is too short to be timed
TITLES = {MEMORY: "from memory", RECORDS: "from record files", FILES: "by reading each when it is needed"}
TF_DATA = "tf.data as documented"
WAYS = {OURS: "node.bench.train_io_ways:with_radnode", TF_DATA: "node.bench.tf_data_ways:with_tf_data"}


def train_io_tasks(plan: Plan) -> Iterator[Task]:
    """Yield each kind of source beside its like, and then the node's three beside one another."""
    volumes = _volumes(plan)
    started = performers(WAYS, (str(plan.folder), *map(str, volumes)), plan.folder / "logs", plan.stack)
    for source, epochs in EPOCHS.items():
        turns = {name: partial(performer.perform, source, str(epochs)) for name, performer in started.items()}
        times = f"{epochs} times " if epochs > 1 else ""
        yield Task(f"feed {len(volumes)} volumes {times}{TITLES[source]}", epochs * len(volumes), "volumes", turns)
    names = {MEMORY: OURS, RECORDS: f"{OURS}, record files", FILES: f"{OURS}, each read when needed"}
    turns = {name: partial(started[OURS].perform, source, "1") for source, name in names.items()}
    yield Task(f"feed {len(volumes)} volumes from memory, records and files", len(volumes), "volumes", turns)


def make_up_volumes(count: int, folder: Path) -> list[Path]:
    """Write so many volumes, a bright ellipsoid in noise, as NIfTI files, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0))
    offsets = (((np.arange(side) + 0.5) / side - 0.5) ** 2 for side in SHAPE)
    inside = sum(np.meshgrid(*offsets, indexing="ij")) < 0.1
    paths = []
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, SHAPE)
        voxels = (noise + 200 * inside).astype(np.int16)
        grid = Grid(SHAPE, (0.0, 0.0, 0.0), steps)
        paths.append(folder / f"volume_{number:03d}.nii.gz")
        write_volume_file(Volume(voxels, grid, Unit.STORED, np.zeros(SHAPE, np.bool_), (), ""), paths[-1])
    return paths


def _volumes(plan: Plan) -> Sequence[Path]:
    """Return the files to feed: whole batches."""
    count = QUICK_VOLUMES if plan.is_quick else VOLUMES
    if not plan.volumes:
        plan.tell(f"making up {count} volumes")
        return make_up_volumes(count, plan.folder / "volumes")
    if len(plan.volumes) < BATCH:
        raise BenchFailed(f"--data: holds {len(plan.volumes)} volumes, expected {BATCH} or more, one batch")
    return plan.volumes[: min(count, len(plan.volumes) // BATCH * BATCH)]


TRAIN_IO = Benchmark(
    "train-io",
    "Whitened volumes, as patches of 64 x 64 x 64 in batches of four, without a network: from arrays in memory; from "
    "TFRecord files that hold them prepared; and by reading, decompressing and whitening each in its turn. tf.data "
    "does it with from_tensor_slices, with one file of lists of numbers as in DLTK's tutorial, and with from_generator "
    "as in DLTK's reader. Where the means are equal, so are the patches.",
    lambda _: {OURS: version("radnode"), "keras": version("keras"), TF_DATA: tensorflow_version()},
    train_io_tasks,
)
