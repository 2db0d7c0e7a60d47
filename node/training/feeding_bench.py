"""Times three ways to feed the same volumes to training: memory, record files, and reading each when needed.

The comparison of Pawlowski N et al.: An Introduction to Biomedical Image Analysis with TensorFlow and DLTK,
2018, without a network: only how long the batches take. There: memory 5.6 s, records 31.1 s, generator 123.5 s.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator

from node.clock import Clock
from node.imaging.normalise import whiten
from node.imaging.patches import cut_patch, draw_corner
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file, write_volume_file
from node.training.record_files import RecordFiles, write_record_files
from node.training.sources import Example, Generated, InMemory, Source, SourceBatches

PATCH = (64, 64, 64)
SHARDS = 4
SEED = 1
MADE_UP_SHAPE = (90, 110, 90)
IN_MEMORY = "in memory"


@dataclass(frozen=True)
class Feeding:
    """How long one way took for every volume once: the median of the rounds, and `ratio` to memory.

    `seconds_to_prepare` is what went before, once.
    """

    source: str
    seconds: float
    fastest: float
    slowest: float
    ratio: float
    volumes_per_second: float
    seconds_to_prepare: float


@dataclass(frozen=True)
class FeedingBench:
    """Which volumes are fed, as files, and how: patches in batches, so many rounds.

    `folder` takes the record files.
    """

    volumes: Sequence[Path]
    folder: Path
    clock: Clock
    batch_size: int = 4
    rounds: int = 5

    def run(self, tell: Callable[[str], None]) -> list[Feeding]:
        """Return how long each way took; rounds of the three take turns, and `tell` hears of each step."""
        tell(f"reading {len(self.volumes)} volumes into memory")
        start = self.clock.boot_seconds()
        examples = [read_example(path) for path in self.volumes]
        to_read = self.clock.boot_seconds() - start
        tell(f"writing {SHARDS} record files")
        start = self.clock.boot_seconds()
        write_record_files(examples, self.folder, SHARDS)
        to_write = self.clock.boot_seconds() - start
        ways: dict[str, tuple[Source, float]] = {
            IN_MEMORY: (InMemory(examples, SEED), to_read),
            "record files": (RecordFiles(self.folder, SEED), to_read + to_write),
            "generator": (Generated(lambda index: read_example(self.volumes[index]), len(examples), SEED), 0.0),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(self.rounds):
            tell(f"round {number + 1} of {self.rounds}")
            for name, (source, _) in ways.items():
                seconds[name].append(self._time(source, number))
        return [self._feeding(name, seconds, to_prepare) for name, (_, to_prepare) in ways.items()]

    def _time(self, source: Source, epoch: int) -> float:
        batches = SourceBatches(source, self.batch_size, SEED, _cut)
        batches.epoch = epoch
        start = self.clock.boot_seconds()
        for number in range(len(batches)):
            batches[number]
        return self.clock.boot_seconds() - start

    def _feeding(self, name: str, seconds: dict[str, list[float]], to_prepare: float) -> Feeding:
        own = seconds[name]
        median = statistics.median(own)
        return Feeding(
            source=name,
            seconds=round(median, 3),
            fastest=round(min(own), 3),
            slowest=round(max(own), 3),
            ratio=round(median / statistics.median(seconds[IN_MEMORY]), 1),
            volumes_per_second=round(len(self.volumes) // self.batch_size * self.batch_size / median, 1),
            seconds_to_prepare=round(to_prepare, 3),
        )


def read_example(path: Path) -> Example:
    """Read and whiten one volume; its target is where it is brighter than its mean."""
    white = whiten(read_volume_file(path, Unit.STORED).voxels)[..., np.newaxis]
    return white, (white > 0).astype(np.float32)


def make_up_volumes(count: int, folder: Path) -> list[Path]:
    """Write so many volumes of noise as NIfTI files, and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    steps = ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0))
    paths = []
    for number in range(count):
        voxels = np.random.default_rng(number).integers(0, 256, MADE_UP_SHAPE).astype(np.int16)
        grid = Grid(MADE_UP_SHAPE, (0.0, 0.0, 0.0), steps)
        path = folder / f"volume_{number:03d}.nii.gz"
        write_volume_file(Volume(voxels, grid, Unit.STORED, np.zeros(voxels.shape, np.bool_), (), ""), path)
        paths.append(path)
    return paths


def _cut(example: Example, rng: Generator) -> Example:
    voxels, target = example
    corner = draw_corner(target.shape[:3], PATCH, rng)
    return cut_patch(voxels, corner, PATCH), cut_patch(target, corner, PATCH)
