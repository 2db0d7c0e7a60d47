"""From masks to a DICOM SEG: the node beside highdicom."""

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
    OURS: "node.bench.encode_ways:with_radnode",
    "highdicom as documented": "node.bench.encode_ways:with_highdicom",
}


def encode_tasks(plan: Plan) -> Iterator[Task]:
    """Yield one task: five structures in one series, from masks in memory to a Part 10 file in memory."""
    slices, side = (QUICK_SLICES, QUICK_SIDE) if plan.is_quick else (SLICES, SIDE)
    series = Material(plan.folder / "series", copied(plan.real) if plan.real else made_up_ct(slices, side), 1)
    ways = performers(WAYS, (str(plan.folder),), plan.folder / "logs", plan.stack)
    yield Task(
        f"five masks on {series.described} to a BINARY SEG",
        1,
        "SEG",
        {name: performer.perform for name, performer in ways.items()},
    )


ENCODE = Benchmark(
    "encode",
    "Masks in memory to a Part 10 file in memory. Where the pixel checksums are equal, so are the pixel data, byte for "
    "byte, once the frames are put in the same order.",
    lambda: {OURS: version("radnode"), "highdicom": version("highdicom")},
    encode_tasks,
)
