"""Trains the variant "tutorial": DLTK's 3D ResNet, from the stretched head to the age, by the squared error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.batches import Dealing, DrawnBatches, Example
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.subjects import Subject

from .architecture import VARIANTS
from .preprocess import prepare

EPOCHS = 40
BATCH_SIZE = 8  # as in DLTK's script
LEARNING_RATE = 1e-3
SHIFT = 2  # voxels of 2 mm, the only variation beside the mirror: DLTK cropped at random


def train_tutorial(subjects: Sequence[Subject], output: Path, options: TrainingOptions) -> Path:
    """Train on the subjects for training and return the weights best on those for validation."""
    heads = {split: _read(subjects, split) for split in (Split.TRAIN, Split.VALIDATION)}
    inputs, years = heads[Split.TRAIN]

    def draw(index: int, rng: Generator) -> Example:
        return _vary(inputs[index], rng), years[index]

    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=LEARNING_RATE,
        loss="mse",
        metrics=("mae",),
        watched="val_mae",
        higher_is_better=False,
        validation_batch=BATCH_SIZE,
    )
    batches = DrawnBatches(draw, len(inputs), Dealing(BATCH_SIZE, repeats=1, seed=options.seed))
    network = build_in_bfloat16(VARIANTS[options.variant])
    return fit(network, Material(batches, heads[Split.VALIDATION]), schedule, output, options)


def _read(subjects: Sequence[Subject], split: Split) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return heads as the node would prepare them, and ages in years."""
    chosen = [subject for subject in subjects if subject.split is split]
    heads = np.concatenate([prepare(read_volume_file(subject.volume, Unit.STORED)) for subject in chosen])
    return heads, np.array([[subject.age or 0.0] for subject in chosen], np.float32)


def _vary(head: NDArray[np.float32], rng: Generator) -> NDArray[np.float32]:
    """Mirror half of the heads and shift all of them a little."""
    mirrored = head[:, :, ::-1] if rng.random() < 0.5 else head
    shifts = rng.integers(-SHIFT, SHIFT + 1, 3)
    return np.roll(mirrored, shifts, axis=(0, 1, 2))
