"""How the weights of this model were made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from node.imaging.volume import Unit, Voxels
from node.imaging.volume_files import read_volume_file
from node.training.batches import Dealing, DrawnBatches
from node.training.fit import Material, fit
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.subjects import choose_subjects, read_subjects
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .material import NOTHING_VARIES, SIDE, Variation, draw_pair

EPOCHS = 30
BATCH_SIZE = 4
REPEATS = 16
VALIDATION_PAIRS = 3  # of each subject


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the T1 volumes of a folder and return the weights file best on its validation split.

    The tutorial's network learns large voxels only, by L2, as it did there.
    Raises TrainingDataError when the folder is laid out otherwise than `node.training.subjects` describes.
    """
    keras.utils.set_random_seed(options.seed)
    volumes = read_volumes(data, Split.TRAIN)
    is_served = options.variant == SERVED
    drawn, judged = (one if is_served else replace(one, thick_share=0.0) for one in (Variation(), NOTHING_VARIES))
    batches = DrawnBatches(
        lambda index, rng: draw_pair(volumes[index], drawn, rng),
        len(volumes),
        Dealing(batch_size=BATCH_SIZE, repeats=REPEATS, seed=options.seed),
    )
    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=5e-4,
        warm_up=1,
        loss="mean_absolute_error" if is_served else "mean_squared_error",
        metrics=("mean_squared_error",),
        watched="val_mean_squared_error",
        higher_is_better=False,
        averaging=0.99,
        validation_batch=BATCH_SIZE,
    )
    material = Material(batches, _validation_pairs(read_volumes(data, Split.VALIDATION), judged))
    make = build if is_served else VARIANTS[options.variant]
    network = build_in_bfloat16(lambda: make((SIDE, SIDE, SIDE)))
    return fit(network, material, schedule, output, options)


def read_volumes(data: Path, split: Split) -> list[Voxels]:
    """Return the T1 volumes of one split, (slices, rows, columns) as stored."""
    chosen = choose_subjects(read_subjects(data), split)
    return [read_volume_file(subject.volume, Unit.STORED).voxels for subject in chosen]


def _validation_pairs(volumes: list[Voxels], variation: Variation) -> tuple[Pixels, Pixels]:
    """Return parts of the volumes that are the same in every epoch and every run."""
    rng = np.random.default_rng(0)
    pairs = [draw_pair(volume, variation, rng) for volume in volumes for _ in range(VALIDATION_PAIRS)]
    coarse, true = zip(*pairs, strict=True)
    return np.stack(coarse), np.stack(true)
