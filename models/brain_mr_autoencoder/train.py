"""How the weights of this model were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, ops
from numpy.random import Generator

from node.errors import StudyRefused
from node.imaging.volume import Volume
from node.training.batches import Dealing, DrawnBatches
from node.training.fit import Material, fit
from node.training.options import SERVED, TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.samples import Split
from node.training.schedule import Schedule
from node.vocabulary import Pixels

from .architecture import KINDS, VARIANTS, build
from .kinds import SIGNS, Kind
from .misfits import LEARNED, Make
from .preprocess import prepare
from .subjects import coarsen, draw_subjects, read_subjects
from .variations import Limits, Subject, vary

EPOCHS = 12
BATCH_SIZE = 8
REPEATS = 4
SYNTHESISED_EACH = 5
MISFIT_SHARE = 0.5
VALIDATION_EACH = 16
COPY_WEIGHT = 10.0  # of the squared error of the copy, beside the cross-entropy of the judge
LIMITS = Limits()

Example = tuple[Pixels, Pixels]


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Train on the T1 volumes of `data` and on heads synthesised from the label maps in the folder beside it.

    Returns the weights file best on the validation split. Raises TrainingDataError when a folder is not laid
    out like `brain_t1_ixi` and `brain_labels_synthseg`.
    """
    keras.utils.set_random_seed(options.seed)
    learned, watched = (_read_coarse(data, split, options.seed) for split in (Split.TRAIN, Split.VALIDATION))
    batches = DrawnBatches(
        lambda index, rng: draw_example(learned[index], rng),
        len(learned),
        Dealing(batch_size=BATCH_SIZE, repeats=REPEATS, seed=options.seed),
    )
    is_served = options.variant == SERVED
    schedule = Schedule(
        epochs=options.epochs or EPOCHS,
        learning_rate=1e-3,
        warm_up=1,
        loss=copy_and_judge_loss if is_served else copy_loss,
        metrics=(copy_loss, judged_right),
        watched="val_loss",
        higher_is_better=False,
        averaging=0.99,
        weight_decay=1e-3,
    )
    material = Material(batches, _validation(watched))
    network = build_in_bfloat16(build if is_served else VARIANTS[options.variant])
    return fit(network, material, schedule, output, options)


def draw_example(subject: Subject, rng: Generator) -> Example:
    """Return a box and what the network should answer: the box itself and which kind it is; half are T1 brains.

    A misfit that `prepare` refuses already is drawn again: the network will never see one.
    """
    while True:
        kind, make = _draw_misfit(rng) if rng.random() < MISFIT_SHARE else (Kind.T1_BRAIN, _vary)
        try:
            return _example(prepare(make(subject, rng)), kind)
        except StudyRefused:
            continue


def copy_loss(truth: KerasTensor, answer: KerasTensor) -> KerasTensor:
    """Return the mean squared error of the copy of each box that is a T1 brain, shape (batch,); 0 for others."""
    size = truth.shape[-1] - KINDS
    error = ops.mean(ops.square(truth[:, :size] - ops.cast(answer[:, :size], "float32")), axis=-1)
    return error * truth[:, size + Kind.T1_BRAIN]


def copy_and_judge_loss(truth: KerasTensor, answer: KerasTensor) -> KerasTensor:
    """Return the weighted error of the copy plus the cross-entropy of the judge, shape (batch,)."""
    kinds = keras.losses.categorical_crossentropy(truth[:, -KINDS:], answer[:, -KINDS:], from_logits=True)
    return COPY_WEIGHT * copy_loss(truth, answer) + kinds


def judged_right(truth: KerasTensor, answer: KerasTensor) -> KerasTensor:
    """Return 1 where T1 brain or not was judged right, shape (batch,)."""
    is_brain = ops.equal(ops.argmax(answer[:, -KINDS:], axis=-1), int(Kind.T1_BRAIN))
    return ops.cast(ops.equal(is_brain, truth[:, -KINDS + Kind.T1_BRAIN] > 0.5), "float32")


def _read_coarse(data: Path, split: Split, seed: int) -> list[Subject]:
    each = SYNTHESISED_EACH if split is Split.TRAIN else 2
    subjects = {**read_subjects(data, split), **draw_subjects(data, split, each, seed)}
    return [coarsen(subject) for subject in subjects.values()]


def _validation(subjects: Sequence[Subject]) -> tuple[Pixels, Pixels]:
    """Return varied brains and misfits, the same in every epoch and every run."""
    rng = np.random.default_rng(0)
    examples = [draw_example(subject, rng) for subject in subjects for _ in range(VALIDATION_EACH)]
    boxes, truths = zip(*examples, strict=True)
    return np.stack(boxes), np.stack(truths)


def _draw_misfit(rng: Generator) -> tuple[Kind, Make]:
    """Draw a way of not being a T1 brain: each kind equally often, however many ways of it there are."""
    kind = list(SIGNS)[int(rng.integers(len(SIGNS)))]
    ways = [make for made, make in LEARNED.values() if made is kind]
    return kind, ways[int(rng.integers(len(ways)))]


def _vary(subject: Subject, rng: Generator) -> Volume:
    return vary(subject, LIMITS, rng)


def _example(batch: Pixels, kind: Kind) -> Example:
    is_kind = np.zeros(KINDS, np.float32)
    is_kind[kind] = 1.0
    return batch[0], np.concatenate([batch[0, ..., 0].ravel(), is_kind])
