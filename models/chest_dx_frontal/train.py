"""How the weights of this model were made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from node.training.augmentation import Augmentation
from node.training.batches import Dealing, DrawnBatches
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.vocabulary import Pixels

from .architecture import build
from .collection import read_others, read_uprights
from .dealing import LIMITS, Drawer

EPOCHS = 18
PICTURES_PER_EPOCH = 480
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
VALIDATION_PICTURES = 320
# Half as far as in training: pictures as they come, but more of them than ten chests give.
MILD = replace(
    LIMITS, rotation_degrees=6.0, scale=0.12, stretch=0.05, shift=0.05, bend=0.015, gamma=0.18, contrast=0.12,
    shading=0.08, opacity=0.3, noise=0.03, blur_pixels=0.8,
)  # fmt: skip


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the folder that holds cxr_v7 and the others, and return the weights file best on validation."""
    keras.utils.set_random_seed(options.seed)
    draw = read_drawer(data, Split.TRAIN, LIMITS)
    batches = DrawnBatches(draw, PICTURES_PER_EPOCH, Dealing(BATCH_SIZE, repeats=1, seed=options.seed))
    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=LEARNING_RATE,
        loss="categorical_crossentropy",
        metrics=("accuracy",),
        watched="val_loss",
        higher_is_better=False,
        weight_decay=1e-3,
        averaging=0.98,
        validation_batch=BATCH_SIZE,
    )
    return fit(build_in_bfloat16(build), Material(batches, draw_validation(data)), schedule, output, options)


def read_drawer(data: Path, split: Split, limits: Augmentation) -> Drawer:
    """Return what draws examples from the pictures of a split."""
    uprights = [picture.image for picture in read_uprights(data, split)]
    others = [picture.image for picture in read_others(data, split)]
    return Drawer(uprights, others, limits)


def draw_validation(data: Path) -> tuple[Pixels, Pixels]:
    """Return mildly varied pictures of the validation split and their kinds, always the same."""
    draw = read_drawer(data, Split.VALIDATION, MILD)
    drawn = [draw(number, np.random.default_rng(number)) for number in range(VALIDATION_PICTURES)]
    return np.stack([picture for picture, _ in drawn]), np.stack([np.asarray(kind) for _, kind in drawn])
