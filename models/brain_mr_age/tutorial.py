"""Trains the variant "tutorial": DLTK's 3D ResNet, from the stretched head to the age, by the squared error."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from node.training.options import TrainingOptions
from node.training.subjects import Subject
from node.training.whole_heads import HeadTask, train_on_heads

from .architecture import VARIANTS
from .preprocess import prepare

SHIFT = 2  # voxels of 2 mm, the only variation beside the mirror: DLTK cropped at random


def train_tutorial(subjects: Sequence[Subject], output: Path, options: TrainingOptions) -> Path:
    """Train on the subjects for training and return the weights best on those for validation."""
    task = HeadTask(prepare, _years, SHIFT, loss="mse", metric="mae", watched="val_mae")
    return train_on_heads(VARIANTS[options.variant], task, subjects, output, options)


def _years(subject: Subject) -> tuple[float]:
    return (subject.age or 0.0,)
