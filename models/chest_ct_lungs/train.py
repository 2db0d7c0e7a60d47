"""How the weights of this model were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np

from node.imaging.regrid import Sampling, resample_values
from node.training.augmentation import Augmentation
from node.training.batches import AugmentedBatches, Dealing, LabelledPictures
from node.training.fit import Material, fit
from node.training.losses import dice_and_cross_entropy
from node.training.options import TrainingOptions
from node.training.schedule import Schedule

from .architecture import build
from .phantoms import draw_phantom
from .preprocess import network_grid, prepare
from .scanner import Protocol

# Patients are numbers here: each split has its own thousands.
TRAINING = range(1000, 1110)
VALIDATION = range(2000, 2012)
# Half the matrix of a real scanner: the network's pixels are coarser still, and drawing is twice as fast.
COARSE = Protocol(matrix=256, least_step_mm=2.5)

SLICES = 24
EPOCHS = 8
BATCH_SIZE = 8
AUGMENTATION = Augmentation(
    black=-1.0, white=1.0, rotation_degrees=8.0, scale=0.12, stretch=0.08, shift=0.04, bend=0.015,
    gamma=0.12, contrast=0.05, shading=0.03, opacity=0.3, noise=0.03, blur_pixels=0.8,
)


def train(data: Path, output: Path, options: TrainingOptions) -> Path:  # noqa: ARG001
    """Train on phantoms and return the weights file best on those for validation.

    Every series in `data` is kept for testing: nothing of it is read here.
    """
    keras.utils.set_random_seed(options.seed)
    pictures, validation = draw_slices(TRAINING), draw_slices(VALIDATION)
    dealing = Dealing(batch_size=BATCH_SIZE, repeats=1, seed=options.seed)
    material = Material(
        AugmentedBatches(pictures, AUGMENTATION, dealing), (validation.pictures, validation.truths)
    )
    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=2e-3,
        warm_up=1,
        loss=dice_and_cross_entropy,
        validation_batch=BATCH_SIZE,
    )
    return fit(build(), material, schedule, output, options)


def draw_slices(patients: Sequence[int], slices: int = SLICES) -> LabelledPictures:
    """Return some slices of every phantom with their truth, as the node would prepare them."""
    pictures, truths = [], []
    for patient in patients:
        scan = draw_phantom(patient, COARSE)
        batch = prepare(scan.volume)
        lungs = resample_values(scan.lungs.astype(np.float32), scan.volume.grid, network_grid(scan.volume), Sampling())
        chosen = np.random.default_rng(patient).permutation(len(batch))[:slices]
        pictures.append(batch[chosen])
        truths.append((lungs[chosen] > 0.5).astype(np.float32)[..., np.newaxis])
    return LabelledPictures(np.concatenate(pictures), np.concatenate(truths))
