"""From masks to a DICOM SEG: the node beside highdicom and those who build on it, and dcmqi."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from node.bench.comparison import OURS, Task
from node.bench.environments import MONAI
from node.bench.material import Material, copied, made_up_ct
from node.bench.performing import performers
from node.bench.plan import Benchmark, Plan

SLICES, SIDE = 300, 512
QUICK_SLICES, QUICK_SIDE = 12, 128

WAYS = {
    OURS: "node.bench.encode_ways:with_radnode",
    "highdicom as documented": "node.bench.encode_ways:with_highdicom",
}
DCMQI = "dcmqi itkimage2segimage"
DCMQI_WAYS = {DCMQI: "node.bench.dcmqi_ways:with_dcmqi"}
MONAI_WAYS = {MONAI.peer: "node.bench.monai_ways:encode"}
STUDY_WAYS = {
    OURS: "node.bench.encode_ways:study_with_radnode",
    "pydicom and highdicom as documented, SEG alone": "node.bench.encode_ways:study_with_highdicom",
}
MONAI_STUDY_WAYS = {f"{MONAI.peer}, SEG alone": "node.bench.monai_ways:encode_study"}


def encode_tasks(plan: Plan) -> Iterator[Task]:
    """Yield five structures in one series: from masks in memory to a file in memory, and from disk to disk."""
    slices, side = (QUICK_SLICES, QUICK_SIDE) if plan.is_quick else (SLICES, SIDE)
    series = Material(plan.folder / "series", copied(plan.real) if plan.real else made_up_ct(slices, side), 1)
    for ways, monai_ways, title in (
        (_mask_ways(), MONAI_WAYS, f"five masks on {series.described} to a BINARY SEG"),
        (STUDY_WAYS, MONAI_STUDY_WAYS, f"{series.described} and five masks to results on disk"),
    ):
        logs, arguments = plan.folder / f"logs of {title}", (str(plan.folder),)
        started = performers(ways, arguments, logs, plan.stack)
        if MONAI.version(plan.peers):
            started |= performers(monai_ways, arguments, logs / "MONAI", plan.stack, MONAI.python(plan.peers))
        yield Task(title, 1, "studies", {name: performer.perform for name, performer in started.items()})


def _mask_ways() -> dict[str, str]:
    return WAYS | (DCMQI_WAYS if _dcmqi_version() else {})


def _dcmqi_version() -> str:
    try:
        return version("dcmqi")
    except PackageNotFoundError:
        return ""


ENCODE = Benchmark(
    "encode",
    "Masks in memory to a Part 10 file in memory; dcmqi is a program that reads masks and headers from files, and "
    "MONAI's operator, which calls highdicom, writes a file. Then a series from disk with masks to results on disk, "
    "which the node makes durable, its reports included. Where the pixel checksums are equal, so are the pixel data, "
    "byte for byte, once the frames are put in the same order.",
    lambda peers: {
        OURS: version("radnode"),
        "highdicom": version("highdicom"),
        DCMQI: _dcmqi_version(),
        MONAI.peer: MONAI.version(peers),
    },
    encode_tasks,
)
