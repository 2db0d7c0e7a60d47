"""From disk to a volume of HU: the node beside what others read a series with."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from node.bench.comparison import OURS, Task
from node.bench.environments import MONAI
from node.bench.material import Material, compressed, copied, made_up_ct
from node.bench.performing import performers
from node.bench.plan import Benchmark, Plan

SLICES, SIDE, COMPRESSED_SLICES = 300, 512, 60
QUICK_SLICES, QUICK_SIDE, QUICK_COMPRESSED_SLICES = 12, 128, 4

WAYS = {
    OURS: "node.bench.volume_ways:with_radnode",
    "pydicom, pixel_array and stack": "node.bench.volume_ways:with_pydicom",
    "SimpleITK ImageSeriesReader": "node.bench.volume_ways:with_simpleitk",
}
MONAI_WAYS = {MONAI.peer: "node.bench.monai_ways:read_volume"}
SYNTAXES = (RLELossless, JPEGLSLossless, JPEGLosslessSV1, JPEG2000Lossless)


def volume_tasks(plan: Plan) -> Iterator[Task]:
    """Yield a series as it is, and fewer slices of it in each compressed transfer syntax; all in the page cache."""
    ways = performers(WAYS, (str(plan.folder),), plan.folder / "logs", plan.stack)
    if MONAI.version(plan.peers):
        ways |= performers(MONAI_WAYS, (), plan.folder / "logs of MONAI", plan.stack, MONAI.python(plan.peers))

    def task(slices: Iterator[Dataset], name: str, is_made_of: str) -> Task:
        series = Material(plan.folder / "series" / name, slices, 1)
        _link_flat(series)
        turns = {way: partial(performer.perform, str(series.folder)) for way, performer in ways.items()}
        title = f"{series.described}{is_made_of} from disk to a volume of HU"
        return Task(title, len(series.paths), "slices", turns)

    yield task(_slices(plan), "plain", "")
    count = QUICK_COMPRESSED_SLICES if plan.is_quick else COMPRESSED_SLICES
    for syntax in map(UID, SYNTAXES):
        yield task(compressed(islice(_slices(plan), count), syntax), syntax.keyword, f" in {syntax.name}")


def _slices(plan: Plan) -> Iterator[Dataset]:
    if plan.real:
        return copied(plan.real)
    return made_up_ct(QUICK_SLICES, QUICK_SIDE) if plan.is_quick else made_up_ct(SLICES, SIDE)


def _link_flat(series: Material) -> None:
    """Put links to all files into one folder, for a reader that looks into one folder alone."""
    flat: Path = series.folder / "flat"
    flat.mkdir()
    for path in series.paths:
        (flat / path.name).symlink_to(path)


VOLUME = Benchmark(
    "volume",
    "Slices in the page cache, read to voxels in HU, by processes of their own; by MONAI Deploy's loader, selector and "
    "series-to-volume operator, one after the other. Where the checksums are equal, so are the voxels.",
    lambda peers: {
        OURS: version("radnode"),
        "pydicom": version("pydicom"),
        "SimpleITK": version("SimpleITK"),
        MONAI.peer: MONAI.version(peers),
    },
    volume_tasks,
)
