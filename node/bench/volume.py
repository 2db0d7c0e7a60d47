"""From disk to a volume of HU: the node beside what others read a series with."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from node.bench.comparison import OURS, Task
from node.bench.material import Material, copied, made_up_ct
from node.bench.performing import performers
from node.bench.plan import Benchmark, Plan

SLICES, SIDE = 300, 512
QUICK_SLICES, QUICK_SIDE = 12, 128

WAYS = {
    OURS: "node.bench.volume_ways:with_radnode",
    "pydicom, pixel_array and stack": "node.bench.volume_ways:with_pydicom",
    "SimpleITK ImageSeriesReader": "node.bench.volume_ways:with_simpleitk",
}


def volume_tasks(plan: Plan) -> Iterator[Task]:
    """Yield one task: a series whose files are in the page cache."""
    slices, side = (QUICK_SLICES, QUICK_SIDE) if plan.is_quick else (SLICES, SIDE)
    series = Material(plan.folder / "series", copied(plan.real) if plan.real else made_up_ct(slices, side), 1)
    ways = performers(WAYS, (str(plan.folder),), plan.folder / "logs", plan.stack)
    yield Task(
        f"{series.described} from disk to a volume of HU",
        series.size_bytes / 1e6,
        "MB",
        {name: performer.perform for name, performer in ways.items()},
    )


VOLUME = Benchmark(
    "volume",
    "Uncompressed slices in the page cache, read to voxels in HU; every way in a process of its own, where it has run "
    "once before.",
    lambda: {
        OURS: version("radnode"),
        "pydicom": version("pydicom"),
        "SimpleITK": version("SimpleITK"),
    },
    volume_tasks,
)
