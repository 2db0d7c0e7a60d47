"""Trains a network on whole heads of people, mirrored and shifted at random: the recipe of DLTK's examples on IXI."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.volume import Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.training.batches import Dealing, DrawnBatches, Example
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.subjects import Subject
from node.vocabulary import Pixels

EPOCHS = 40
BATCH_SIZE = 8  # as in DLTK's scripts
LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class HeadTask:
    """What is learnt of a head: the numbers `target` tells of its subject, from what `prepare` makes of its volume.

    `watched` is the column of the log, the lower the better, that chooses the epoch. `most_shift` is in
    voxels of what `prepare` returns.
    """

    prepare: Callable[[Volume], Pixels]
    target: Callable[[Subject], Sequence[float]]
    most_shift: int
    loss: str
    metric: str
    watched: str


def train_on_heads(
    build: Callable[[], keras.Model],
    task: HeadTask,
    subjects: Sequence[Subject],
    output: Path,
    options: TrainingOptions,
) -> Path:
    """Train on the subjects for training and return the weights best on those for validation."""
    heads = {split: _read(task, subjects, split) for split in (Split.TRAIN, Split.VALIDATION)}
    inputs, targets = heads[Split.TRAIN]

    def draw(index: int, rng: Generator) -> Example:
        return mirror_and_shift(inputs[index], task.most_shift, rng), targets[index]

    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=LEARNING_RATE,
        loss=task.loss,
        metrics=(task.metric,),
        watched=task.watched,
        higher_is_better=False,
        validation_batch=BATCH_SIZE,
    )
    batches = DrawnBatches(draw, len(inputs), Dealing(BATCH_SIZE, repeats=1, seed=options.seed))
    material = Material(batches, heads[Split.VALIDATION])
    return fit(build_in_bfloat16(build), material, schedule, output, options)


def mirror_and_shift(head: Pixels, most_shift: int, rng: Generator) -> Pixels:
    """Return (slices, rows, columns, channels) mirrored from side to side or not, and moved along every axis."""
    mirrored = head[:, :, ::-1] if rng.random() < 0.5 else head
    return np.roll(mirrored, rng.integers(-most_shift, most_shift + 1, 3), axis=(0, 1, 2))


def _read(task: HeadTask, subjects: Sequence[Subject], split: Split) -> tuple[Pixels, NDArray[np.float32]]:
    """Return heads as the node would prepare them, and what is to be learnt of each."""
    chosen = [subject for subject in subjects if subject.split is split]
    heads = np.concatenate([task.prepare(read_volume_file(subject.volume, Unit.STORED)) for subject in chosen])
    return heads, np.array([task.target(subject) for subject in chosen], np.float32)
