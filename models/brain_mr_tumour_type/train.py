"""How the weights of this model, and those of the tutorial's network, were made."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from node.training.batches import Dealing
from node.training.class_batches import ClassPictures, Variation, VariedClasses, shrink
from node.training.class_folders import choose_class_samples
from node.training.fit import Material, fit
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.training.stages import Prepared, fit_stages

from .architecture import OFFICIAL as OFFICIAL_VARIANT
from .architecture import SIZE, VARIANTS, build_for
from .pictures import LAYOUT, OFFICIAL, prepare_split, read_all
from .tutorial import TutorialBatches, prepare_tutorial

BATCH_SIZE = 32
SMOOTHING = 0.05

STRONG = Variation(erased=0.2, mixed=0.25)
WEAK = Variation(
    rotation_degrees=12.0, scale=0.12, stretch=0.08, shift=0.05, gamma=0.2, contrast=0.15, noise=0.03, blur_pixels=0.8,
    erased=0.1, mixed=0.0,
)  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """A part of the training: pictures of one size, varied so far, at learning rates that fall from first to last."""

    size: int
    epochs: int
    first_rate: float
    last_rate: float
    variation: Variation


# Small pictures cost a third of the time and teach most; the weights are the same for any size.
STAGES = (
    Stage(80, 30, 2e-3, 3e-4, STRONG),
    Stage(SIZE, 45, 1e-3, 1e-6, STRONG),
    Stage(SIZE, 15, 6e-4, 1e-6, WEAK),
)

TUTORIAL_EPOCHS = 10
TUTORIAL_BATCH_SIZE = 16


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the pictures of `data`, in stages, and return the weights file best on its validation split.

    The served network also sees slices of the healthy volumes of `brain_t1_ixi` in `data` or beside it,
    where that folder is. Raises TrainingDataError when the folder is laid out otherwise than
    `node.training.class_folders` describes.
    """
    keras.utils.set_random_seed(options.seed)
    if options.variant != SERVED:
        return _train_tutorial(data, output, options)
    splits = (prepare_split(data, Split.TRAIN, options.seed), prepare_split(data, Split.VALIDATION, options.seed))

    def prepare(_number: int, stage: Stage) -> Prepared:
        network = build_in_bfloat16(partial(build_for, stage.size))
        return network, _material(splits, stage, options.seed), _schedule(stage, options)

    return fit_stages(STAGES, prepare, output, options)


def _material(splits: tuple[ClassPictures, ClassPictures], stage: Stage, seed: int) -> Material:
    known, validation = (split if stage.size == SIZE else shrink(split, stage.size) for split in splits)
    batches = VariedClasses(known, stage.variation, Dealing(BATCH_SIZE, 1, seed))
    return Material(batches, (validation.pictures, validation.targets))


def _schedule(stage: Stage, options: TrainingOptions) -> Schedule:
    return Schedule(
        epochs=options.epochs or stage.epochs,
        learning_rate=stage.first_rate,
        last_learning_rate=stage.last_rate,
        warm_up=1,
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=SMOOTHING),
        metrics=("accuracy",),
        watched="val_accuracy",
        weight_decay=0.02,
        averaging=0.998,
        validation_batch=BATCH_SIZE,
    )


def _train_tutorial(data: Path, output: Path, options: TrainingOptions) -> Path:
    samples = read_all(data, OFFICIAL if options.variant == OFFICIAL_VARIANT else LAYOUT)
    known = prepare_tutorial(choose_class_samples(samples, Split.TRAIN))
    validation = prepare_tutorial(choose_class_samples(samples, Split.VALIDATION))
    schedule = Schedule(
        epochs=options.epochs or TUTORIAL_EPOCHS,
        last_learning_rate=1e-3,
        warm_up=0,
        loss="categorical_crossentropy",
        metrics=("accuracy",),
        watched="val_accuracy",
        validation_batch=TUTORIAL_BATCH_SIZE,
    )
    batches = TutorialBatches(known, Dealing(TUTORIAL_BATCH_SIZE, 1, options.seed))
    material = Material(batches, (validation.pictures, validation.targets))
    return fit(VARIANTS[options.variant](), material, schedule, output, options)
