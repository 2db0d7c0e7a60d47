"""How the weights of this model, and those of the tutorial's network, are made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
from keras import KerasTensor, ops
from numpy.random import Generator

from node.training.batches import Dealing, DrawnBatches, Example
from node.training.class_batches import ClassPictures, Variation, VariedClasses, vary
from node.training.class_folders import ClassSample, choose_class_samples
from node.training.fit import Material, fit
from node.training.options import SERVED, TrainingOptions
from node.training.samples import Split
from node.training.schedule import Schedule

from .architecture import VARIANTS, build
from .imagenet import as_imagenet, fetch_imagenet
from .pictures import for_learning, prepare_all, prepare_whole, read_all

EPOCHS = 15
BATCH_SIZE = 32
REPEATS = 8
VARIATION = Variation(
    rotation_degrees=3.0,
    scale=0.10,
    stretch=0.08,
    shift=0.03,
    gamma=0.2,
    contrast=0.15,
    erased=0.2,
    mixed=0.0,
)

# The tutorial crops 0.8 to 1.0 of the picture, turns it by up to 15 degrees, jitters its greys and mirrors it.
TUTORIAL_EPOCHS = 30
TUTORIAL_BATCH_SIZE = 128
TUTORIAL_PATIENCE = 3
TUTORIAL_VARIATION = Variation(
    rotation_degrees=15.0, scale=0.1, stretch=0.0, shift=0.05, gamma=0.0, noise=0.0, erased=0.0, mixed=0.0
)


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on every picture of `data` outside its test split, and return the weights file.

    Nothing is kept back to choose an epoch by: the recipe was fixed by cross-validation, and the weights are
    those of the epoch that fits the pictures learned from best. The variant "tutorial" is chosen on the
    validation split, and fetches the ImageNet weights into `output`. Raises TrainingDataError.
    """
    keras.utils.set_random_seed(options.seed)
    samples = read_all(data)
    if options.variant != SERVED:
        return _train_tutorial(samples, output, options)
    return train_on(prepare_all(for_learning(samples)), output, options)


def train_on(known: ClassPictures, output: Path, options: TrainingOptions) -> Path:
    """Train the served network on these pictures and return the weights file."""
    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=2e-3,
        last_learning_rate=1e-5,
        warm_up=0,
        loss="categorical_crossentropy",
        metrics=("accuracy",),
        watched="val_loss",
        higher_is_better=False,
        averaging=0.9,
        validation_batch=BATCH_SIZE,
    )
    batches = VariedClasses(known, VARIATION, Dealing(BATCH_SIZE, REPEATS, options.seed))
    return fit(build(), Material(batches, (known.pictures, known.targets)), schedule, output, options)


def negative_log_likelihood(truth: KerasTensor, logarithms: KerasTensor) -> KerasTensor:
    """Return the loss of each picture: minus the logarithm of the probability of its class."""
    return -ops.sum(ops.cast(truth, logarithms.dtype) * logarithms, axis=-1)


class ImagenetBatches(DrawnBatches):
    """Whole pictures, varied as the tutorial does, as the ImageNet weights expect them."""

    def __init__(self, known: ClassPictures, dealing: Dealing) -> None:
        super().__init__(self._show, len(known.pictures), dealing)
        self._known = known
        self._targets = known.targets

    def _show(self, index: int, rng: Generator) -> Example:
        return as_imagenet(vary(self._known.pictures[index], TUTORIAL_VARIATION, rng)), self._targets[index]


def _train_tutorial(samples: Sequence[ClassSample], output: Path, options: TrainingOptions) -> Path:
    known = prepare_whole(choose_class_samples(samples, Split.TRAIN))
    validation = prepare_whole(choose_class_samples(samples, Split.VALIDATION))
    network = VARIANTS[options.variant]()
    network.load_weights(fetch_imagenet(output / "imagenet"), by_name=True)
    schedule = Schedule(
        epochs=options.epochs or TUTORIAL_EPOCHS,
        last_learning_rate=1e-3,
        warm_up=0,
        patience=TUTORIAL_PATIENCE,
        loss=negative_log_likelihood,
        metrics=("accuracy",),
        watched="val_loss",
        higher_is_better=False,
        validation_batch=TUTORIAL_BATCH_SIZE,
    )
    batches = ImagenetBatches(known, Dealing(min(TUTORIAL_BATCH_SIZE, len(known.pictures)), 1, options.seed))
    material = Material(batches, (as_imagenet(validation.pictures), validation.targets))
    return fit(network, material, schedule, output, options)
