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
from node.inference.loading import load_part
from node.training.options import SERVED, TrainingOptions
from node.training.ridge import cross_validate, deal_folds, fit_ridge, scale_to_unit
from node.training.samples import Split
from node.training.subjects import Subject, read_subjects

from .architecture import build
from .cross_validation import write_cross_validation
from .preprocess import prepare
from .tutorial import train_tutorial

TISSUE_MODEL = Path(__file__).parent.parent / "brain_mr_tissue"

# Chosen by cross-validation on the subjects for training and validation (card.md).
PENALTY = 0.01
SHARE_OF_GREY = 0.35
FOLDS = 10
COVERAGE = 0.95

Numbers = NDArray[np.float64]
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Learnt:
    """What the linear layers learn from: (subjects, features) of tissue and of grey, and ages in years."""

    tissue: Features
    grey: Features
    ages: Numbers


def train(data: Path, output: Path, options: TrainingOptions) -> Path:
    """Fit the linear layers on all subjects but those for testing, and return the weights file.

    There are no epochs: the fit is one equation, and a run that was interrupted starts again. How well it
    does on subjects it has not seen is in `cross_validation.md`. The tissue network comes from the folder
    of brain_mr_tissue.
    """
    keras.utils.set_random_seed(options.seed)
    subjects = read_learnt(data)
    output.mkdir(parents=True, exist_ok=True)
    if options.variant != SERVED:
        return train_tutorial(subjects, output, options)
    network = build()
    lend_tissue_weights(network)
    learnt = read_features(subjects, network)
    estimates = estimate_unseen(learnt, options.seed)
    write_cross_validation(subjects, learnt.ages, estimates, output)
    fit_age(network, learnt, half_interval(learnt.ages - estimates))
    weights = output / "best.weights.h5"
    network.save_weights(weights, overwrite=True)
    return weights


def read_learnt(data: Path) -> list[Subject]:
    """Return the subjects of known age that are not for testing; raises TrainingDataError when they are few."""
    subjects = [one for one in read_subjects(data) if one.split is not Split.TEST and one.age is not None]
    if len(subjects) < FOLDS:
        raise TrainingDataError(f"{data}: found {len(subjects)} subjects of known age, expected at least {FOLDS}")
    return subjects


def lend_tissue_weights(network: keras.Model) -> None:
    """Give the tissue network inside the weights that brain_mr_tissue is served with."""
    lender = load_part(TISSUE_MODEL, "architecture").build()
    lender.load_weights(TISSUE_MODEL / "weights.weights.h5")
    tissue_network = network.get_layer("features").get_layer("tissue_network")
    tissue_network.set_weights(lender.get_weights())


def read_features(subjects: Sequence[Subject], network: keras.Model) -> Learnt:
    """Return what the network's linear layers see of every subject."""
    features = network.get_layer("features")
    rows = []
    for subject in track(subjects, "reading heads"):
        tissue, grey, _ = features(prepare(read_volume_file(subject.volume, Unit.STORED)), training=False)
        rows.append((np.asarray(tissue)[0], np.asarray(grey)[0]))
    ages = np.array([subject.age for subject in subjects], np.float64)
    return Learnt(np.stack([row[0] for row in rows]), np.stack([row[1] for row in rows]), ages)


def estimate_unseen(learnt: Learnt, seed: int) -> Numbers:
    """Return the age of each subject by layers fitted without the subjects of its fold."""
    folds = deal_folds(learnt.ages, FOLDS, seed)
    return cross_validate(np.concatenate(_scaled(learnt), axis=1), learnt.ages, PENALTY, folds)


def half_interval(errors: Numbers) -> float:
    """Return what 95 % of the errors of unseen subjects, and one more for safety, stay below in years."""
    place = min(len(errors), int(np.ceil(COVERAGE * (len(errors) + 1))))
    return float(np.sort(np.abs(errors))[place - 1])


def fit_age(network: keras.Model, learnt: Learnt, half_years: float) -> None:
    """Set the linear layers and the half interval."""
    tissue, grey = _scaled(learnt)
    layer = fit_ridge(np.concatenate([tissue, grey], axis=1), learnt.ages, PENALTY)
    of_tissue, of_grey = np.split(layer.weights, [tissue.shape[1]])
    tissue_scale, grey_scale = _scales(learnt)
    network.get_layer("age_of_tissue").set_weights([(of_tissue * tissue_scale)[:, np.newaxis], np.array([layer.bias])])
    network.get_layer("age_of_grey").set_weights([(of_grey * grey_scale)[:, np.newaxis]])
    network.get_layer("half_interval").set_weights([np.array([half_years])])


def _scaled(learnt: Learnt) -> tuple[Features, Features]:
    tissue_scale, grey_scale = _scales(learnt)
    return learnt.tissue * np.float32(tissue_scale), learnt.grey * np.float32(grey_scale)


def _scales(learnt: Learnt) -> tuple[float, float]:
    """Return the factors by which both kinds of features weigh as chosen, whatever their number."""
    tissue = scale_to_unit(learnt.tissue) * np.sqrt(1.0 - SHARE_OF_GREY)
    return float(tissue), float(scale_to_unit(learnt.grey) * np.sqrt(SHARE_OF_GREY))
