"""Trains the variant "tutorial": DLTK's 3D ResNet, from the head to the sex, by cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from node.training.options import TrainingOptions
from node.training.subjects import Subject
from node.training.whole_heads import HeadTask, train_on_heads

from .architecture import VARIANTS
from .preprocess import SEXES, prepare

SHIFT = 1  # voxels of 4 mm, the only variation beside the mirror: DLTK cropped at random


def train_tutorial(subjects: Sequence[Subject], output: Path, options: TrainingOptions) -> Path:
    """Train on the subjects for training and return the weights best on those for validation."""
    task = HeadTask(prepare, _sexes, SHIFT, loss="categorical_crossentropy", metric="accuracy", watched="val_loss")
    return train_on_heads(VARIANTS[options.variant], task, subjects, output, options)


def _sexes(subject: Subject) -> list[float]:
    """Return 1 for the sex of the subject, in the order of the network."""
    return [float(subject.sex == sex) for sex in SEXES]
