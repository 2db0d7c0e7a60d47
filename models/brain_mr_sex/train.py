"""How the weights of this model were made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray
from rich.progress import track

from node.errors import TrainingDataError
from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.options import SERVED, TrainingOptions
from node.training.ridge import cross_validate, deal_folds, fit_ridge
from node.training.samples import Split
from node.training.subjects import Subject, read_subjects

from .architecture import build
from .cross_validation import write_cross_validation
from .preprocess import SEXES, prepare
from .tutorial import train_tutorial

PENALTY = 0.03  # chosen by cross-validation on the subjects for training and validation (card.md)
FOLDS = 10
STEPS, RATE = 2000, 0.1  # of gradient descent on two numbers

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Learnt:
    """What the linear layer learns from: (subjects, features), and 1 for male, -1 for female."""

    features: NDArray[np.float32]
    signs: Numbers


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Fit the linear layer on all subjects but those for testing, and return the weights file.

    There are no epochs: the fit is one equation, and a run that was interrupted starts again. How well it
    does on subjects it has not seen is in `cross_validation.md`.
    """
    keras.utils.set_random_seed(options.seed)
    subjects = read_learnt(data)
    output.mkdir(parents=True, exist_ok=True)
    if options.variant != SERVED:
        return train_tutorial(subjects, output, options)
    network = build()
    learnt = read_features(subjects, network)
    scores = cross_validate(learnt.features, learnt.signs, PENALTY, deal_folds(learnt.signs, FOLDS, options.seed))
    slope, offset = fit_odds(scores, learnt.signs)
    write_cross_validation(subjects, learnt.signs, slope * scores + offset, output)
    layer = fit_ridge(learnt.features, learnt.signs, PENALTY)
    log_odds = [slope * layer.weights[:, np.newaxis], np.array([slope * layer.bias + offset])]
    network.get_layer("score").set_weights(log_odds)
    weights = output / "best.weights.h5"
    network.save_weights(weights, overwrite=True)
    return weights


def read_learnt(data: Path) -> list[Subject]:
    """Return the subjects of known sex that are not for testing; raises TrainingDataError when they are few."""
    subjects = [one for one in read_subjects(data) if one.split is not Split.TEST and one.sex in SEXES]
    if len(subjects) < FOLDS:
        raise TrainingDataError(f"{data}: found {len(subjects)} subjects of known sex, expected at least {FOLDS}")
    return subjects


def read_features(subjects: Sequence[Subject], network: keras.Model) -> Learnt:
    """Return what the linear layer sees of every subject."""
    features = keras.Model(network.input, network.get_layer("flat").output)
    heads = [prepare(read_volume_file(one.volume, Unit.STORED)) for one in track(subjects, "reading heads")]
    rows = [np.asarray(features(head, training=False))[0] for head in heads]
    return Learnt(np.stack(rows), np.array([1.0 if one.sex == "M" else -1.0 for one in subjects]))


def fit_odds(scores: Numbers, signs: Numbers) -> tuple[float, float]:
    """Return the slope and offset that make log odds of scores of unseen subjects (Platt, 1999)."""
    scale = float(scores.std())
    slope, offset = 1.0, 0.0
    for _ in range(STEPS):
        wrong = -signs / (1.0 + np.exp(signs * (slope * scores / scale + offset)))
        slope -= RATE * float(np.mean(wrong * scores / scale))
        offset -= RATE * float(np.mean(wrong))
    return slope / scale, offset
