"""How the weights of this model were made: on drawn chests first, then on real lungs with drawn nodules as well."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.random import Generator

from node.training.batches import Dealing, DrawnBatches, Example
from node.training.fit import Material, fit
from node.training.options import TrainingOptions
from node.training.schedule import Schedule
from node.vocabulary import Pixels

from .architecture import build_for
from .backgrounds import Background, drawn_background, keep_background, kept_background, real_background
from .losses import nodule_loss, overlap
from .patches import SIDE, draw_window
from .real_series import read_real_series

# Patients are numbers here: each split has its own thousands.
TRAINING = range(1000, 1036)
VALIDATION = range(2000, 2004)

WINDOWS = 960  # in an epoch
VALIDATION_WINDOWS = 144
BATCH_SIZE = 16
EPOCHS = 12
REAL_EPOCHS = 3
REAL_SHARE = 0.5
BEST = "best.weights.h5"
LEFT_OUT = "without_{patient}.weights.h5"


@dataclass(frozen=True)
class Lungs:
    """The lungs that windows are cut from; those of `real` series are taken in half of the windows."""

    drawn: Sequence[Background]
    real: Sequence[Background]

    def window(self, _number: int, rng: Generator) -> Example:
        """Return a window and its truth."""
        chosen = self.real if self.real and rng.random() < REAL_SHARE else self.drawn
        return draw_window(chosen[int(rng.integers(len(chosen)))], rng)


@dataclass(frozen=True)
class Course:
    """What all trainings of one run share: the windows that choose the epoch, and what a person asked for."""

    validation: tuple[Pixels, Pixels]
    options: TrainingOptions

    def run(self, lungs: Lungs, schedule: Schedule, folder: Path, start: Path | None = None) -> Path:
        """Train in `folder`, from the weights `start` or from nothing, and return the best weights.

        The network computes in bfloat16, its weights stay float32: faster on a CPU. A training that has
        ended is not repeated when a run is resumed.
        """
        keras.utils.set_random_seed(self.options.seed)
        dealing = Dealing(batch_size=BATCH_SIZE, repeats=1, seed=self.options.seed)
        batches = DrawnBatches(lungs.window, WINDOWS, dealing)
        before = keras.mixed_precision.dtype_policy()
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
        try:
            network = build_for(SIDE)
            if start is not None:
                network.load_weights(start)
            return fit(network, Material(batches, self.validation), schedule, folder, self.options)
        finally:
            keras.mixed_precision.set_dtype_policy(before)


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train, and return the weights that have seen the lungs of every real series in `data`.

    Beside them lie, for each patient, weights that never saw anything of that patient: by these the
    patient's lesions are judged. `options.epochs` counts those on drawings.
    """
    drawn = draw_lungs(TRAINING, output / "drawn")
    course = Course(validation_windows(draw_lungs(VALIDATION, output / "drawn")), options)
    epochs = options.epochs or EPOCHS
    first = course.run(Lungs(drawn, ()), _schedule(epochs, 2e-3), output / "drawn_only")
    series = read_real_series(data)
    if not series:
        return Path(shutil.copyfile(first, output / BEST))
    backgrounds = {one.patient: real_background(one.volume, one.lesions, options.seed) for one in series}
    schedule = _schedule(min(REAL_EPOCHS, epochs), 6e-4)
    for patient in backgrounds:
        others = [lungs for other, lungs in backgrounds.items() if other != patient]
        weights = course.run(Lungs(drawn, others), schedule, output / f"without_{patient}", first)
        shutil.copyfile(weights, output / LEFT_OUT.format(patient=patient))
    weights = course.run(Lungs(drawn, list(backgrounds.values())), schedule, output / "all", first)
    return Path(shutil.copyfile(weights, output / BEST))


def draw_lungs(patients: Sequence[int], folder: Path) -> list[Background]:
    """Return the lungs of made-up patients, kept in `folder` because drawing one takes seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for patient in patients:
        file = folder / f"{patient}.npz"
        if not file.is_file():
            keep_background(drawn_background(patient), file)
    return [kept_background(folder / f"{patient}.npz") for patient in patients]


def validation_windows(backgrounds: Sequence[Background]) -> tuple[Pixels, Pixels]:
    """Return the windows of drawn chests by which the best epoch is chosen, always the same."""
    rng = np.random.default_rng(VALIDATION[0])
    drawn = [draw_window(backgrounds[number % len(backgrounds)], rng) for number in range(VALIDATION_WINDOWS)]
    pictures, truths = zip(*drawn, strict=True)
    return np.stack(pictures), np.stack(truths)


def _schedule(epochs: int, learning_rate: float) -> Schedule:
    return Schedule(
        epochs=epochs, learning_rate=learning_rate, last_learning_rate=2e-5, warm_up=1, patience=epochs,
        loss=nodule_loss, metrics=(overlap,), watched="val_overlap", validation_batch=BATCH_SIZE,
    )
