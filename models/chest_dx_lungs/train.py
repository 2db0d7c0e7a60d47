"""How the weights of this model were made."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from node.imaging.normalise import BLACK
from node.imaging.resample import letterbox
from node.training.augmentation import Augmentation
from node.training.batches import AugmentedBatches, Dealing, DrawnBatches, LabelledPictures
from node.training.fit import Material, fit
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.readers import choose, read_samples
from node.training.samples import (
    BACKGROUND,
    IGNORED,
    STRUCTURE,
    Sample,
    Split,
    Truth,
    read_picture,
    read_truth,
)
from node.training.schedule import Schedule
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .preprocess import SIZE, prepare

# Pictures under a licence that forbids commercial use never enter the weights.
LICENCES = frozenset({"open", ""})

EPOCHS = 70
BATCH_SIZE = 4
REPEATS = 4
AUGMENTATION = Augmentation(black=BLACK, white=1.0)

# The tutorial shows every picture as it is, once an epoch.
TUTORIAL_EPOCHS = 30
TUTORIAL_BATCH_SIZE = 2
TUTORIAL_LEARNING_RATE = 1e-5


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the folder `data` and return the weights file best on its validation split.

    Only rows whose licence class is "open" or not given are used. Raises TrainingDataError when
    the folder is laid out otherwise than `node.training.readers` describes.
    """
    keras.utils.set_random_seed(options.seed)
    samples = read_samples(data)
    pictures = prepare_all(choose(samples, Split.TRAIN, LICENCES))
    validation = prepare_all(choose(samples, Split.VALIDATION, LICENCES))
    measured = (validation.pictures, validation.truths)
    if options.variant != SERVED:
        return _train_tutorial(pictures, measured, output, options)
    dealing = Dealing(batch_size=BATCH_SIZE, repeats=REPEATS, seed=options.seed)
    material = Material(AugmentedBatches(pictures, AUGMENTATION, dealing), measured)
    schedule = Schedule(epochs=options.epochs or EPOCHS, validation_batch=BATCH_SIZE)
    return fit(build(), material, schedule, output, options)


def _train_tutorial(
    pictures: LabelledPictures, measured: tuple[Pixels, Pixels], output: Path, options: TrainingOptions
) -> Path:
    """Train the tutorial's network by its recipe: batches of two, a constant rate of 1e-5, nothing varied."""
    dealing = Dealing(batch_size=TUTORIAL_BATCH_SIZE, repeats=1, seed=options.seed)
    pairs = list(zip(pictures.pictures, pictures.truths, strict=True))
    batches = DrawnBatches(lambda index, _: pairs[index], len(pairs), dealing)
    schedule = Schedule(
        epochs=options.epochs or TUTORIAL_EPOCHS,
        learning_rate=TUTORIAL_LEARNING_RATE,
        last_learning_rate=TUTORIAL_LEARNING_RATE,
        warm_up=0,
        validation_batch=TUTORIAL_BATCH_SIZE,
    )
    network = build_in_bfloat16(VARIANTS[options.variant])
    return fit(network, Material(batches, measured), schedule, output, options)


def prepare_all(samples: list[Sample]) -> LabelledPictures:
    """Return pictures and truths on the grid of the network, as the node would prepare them."""
    pictures = [prepare(read_picture(sample))[0] for sample in samples]
    truths = [_prepare_truth(read_truth(sample)) for sample in samples]
    return LabelledPictures(np.stack(pictures), np.stack(truths)[..., np.newaxis])


def _prepare_truth(truth: Truth) -> Truth:
    """Bring the truth to the grid of the network; a pixel is what covers most of it."""
    lung = letterbox((truth == STRUCTURE).astype(np.float32), SIZE)
    ignored = letterbox((truth == IGNORED).astype(np.float32), SIZE)
    marked = np.where(lung > 0.5, np.float32(STRUCTURE), np.float32(BACKGROUND))
    return np.where(ignored > 0.5, np.float32(IGNORED), marked)
