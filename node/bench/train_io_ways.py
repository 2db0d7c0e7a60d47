"""The node's ways of feeding volumes to a training: memory, record files, and reading each when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.random import Generator

from node.bench.cost import Facts
from node.bench.performing import Performance
from node.bench.train_io import BATCH, FILES, MEMORY, RECORDS
from node.imaging.normalise import whiten
from node.imaging.patches import cut_patch
from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.record_files import RecordFiles, write_record_files
from node.training.sources import Example, Generated, InMemory, Source, SourceBatches

PATCH = (64, 64, 64)
SHARDS = 4
SEED = 1


def with_radnode(folder: str, *volumes: str) -> Performance:
    """Feed from any of the node's sources, as a training does; what may be prepared has been."""
    examples = [read_example(volume) for volume in volumes]
    records = Path(folder) / "records"
    write_record_files(examples, records, SHARDS)
    sources: dict[str, Source] = {
        MEMORY: InMemory(examples, SEED),
        RECORDS: RecordFiles(records, SEED),
        FILES: Generated(lambda place: read_example(volumes[place]), len(volumes), SEED),
    }

    def feed(source: str, epoch: int, take: Callable[[Example], None]) -> None:
        batches = SourceBatches(sources[source], BATCH, SEED, _cut)
        batches.epoch = epoch
        for number in range(len(batches)):
            take(batches[number])

    return feeding(feed)


def feeding(feed: Callable[[str, int, Callable[[Example], None]], None]) -> Performance:
    """Return the performance of a way that feeds one epoch of a source to a function, batch by batch.

    Its facts are the mean of all patches and that of all targets, from an epoch that is not timed.
    """

    def perform(source: str, epochs: str) -> str:
        for epoch in range(int(epochs)):
            feed(source, epoch, lambda _: None)
        return source

    @cache
    def facts(source: str) -> Facts:
        means: list[tuple[float, float]] = []
        feed(source, 0, lambda batch: means.append((float(np.mean(batch[0])), float(np.mean(batch[1])))))
        patches, targets = np.mean(means, axis=0)
        return {"patches": len(means) * BATCH, "mean": f"{patches:.4f}", "mean_target": f"{targets:.4f}"}

    return Performance(perform, facts)


def read_example(path: str) -> Example:
    """Read and whiten one volume; its target is where it is brighter than its mean."""
    white = whiten(read_volume_file(Path(path), Unit.STORED).voxels)[..., np.newaxis]
    return white, (white > 0).astype(np.float32)


def _cut(example: Example, _: Generator) -> Example:
    """Cut the patch in the middle, so that all ways cut the same."""
    voxels, target = example
    corner = tuple((side - patch) // 2 for side, patch in zip(target.shape[:3], PATCH, strict=True))
    return cut_patch(voxels, corner, PATCH), cut_patch(target, corner, PATCH)
