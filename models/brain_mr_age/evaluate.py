"""How this model is scored: through the same `prepare` and `interpret` as a study from a PACS."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.errors import TrainingDataError
from node.imaging.volume import Unit
from node.imaging.volume_files import read_volume_file
from node.training.comparing import Subjects, compare_quantities, with_sections
from node.training.comparison import NETWORK, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.options import SERVED
from node.training.prediction import load_network, predict_with
from node.training.run_record import variant_of
from node.training.samples import Split
from node.training.subjects import Subject, choose_subjects, read_subjects

from .architecture import VARIANTS, build
from .cross_validation import MEAN_AGE, TISSUE_VOLUMES
from .preprocess import interpret, prepare
from .train import read_learnt

LABELS = (1, 2, 3)  # CSF, grey and white matter in the files of `tissue`
ML_MM3 = 1000.0
SEEN = Section(
    "Seen in training",
    "The linear layers were fitted on these subjects too: `cross_validation.md` tells what to expect of others.",
)

Numbers = NDArray[np.float64]


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score weights, the mean age and a regression on tissue volumes on one split, and report beside the weights."""
    learnt = read_learnt(data)
    chosen = [one for one in choose_subjects(read_subjects(data), split) if one.age is not None]
    ages, half_years = _estimate(chosen, weights)
    names = [subject.name for subject in chosen]
    answers = {
        NETWORK: ages,
        TISSUE_VOLUMES: _from_volumes(learnt, chosen),
        MEAN_AGE: [float(np.mean([subject.age for subject in learnt]))] * len(chosen),
    }
    truths = [subject.age or 0.0 for subject in chosen]
    comparison = compare_quantities(Subjects(names, names), truths, answers, _limits(ages, half_years))
    if split is not Split.TEST and variant_of(weights) == SERVED:
        comparison = with_sections(comparison, SEEN)
    return write_evaluation(
        comparison, circumstances_of("brain_mr_age", weights, data, split.value, day), weights.parent
    )


def _estimate(subjects: Sequence[Subject], weights: Path) -> tuple[list[float], list[float]]:
    """Return the age of every subject and half its interval in years; the tutorial's network gives no interval."""
    predict = predict_with(load_network(weights, build, VARIANTS))
    ages, half_years = [], []
    for subject in subjects:
        volume = read_volume_file(subject.volume, Unit.STORED)
        prediction = predict(prepare(volume))
        if prediction.shape[1] == 1:
            ages.append(float(prediction[0, 0]))
            continue
        quantity = interpret(prediction, volume).quantities[0]
        ages.append(quantity.value)
        half_years.append(quantity.high - quantity.value)
    return ages, half_years


def _limits(ages: list[float], half_years: list[float]) -> tuple[list[float], list[float]] | None:
    """Return the lower and upper limits of the intervals; None where there are none."""
    if not half_years:
        return None
    pairs = list(zip(ages, half_years, strict=True))
    return [age - half for age, half in pairs], [age + half for age, half in pairs]


def _from_volumes(learnt: Sequence[Subject], chosen: Sequence[Subject]) -> list[float]:
    """Return ages by least squares on the labelled volumes of CSF, grey and white matter."""
    terms = np.array([_volumes_ml(subject) for subject in learnt])
    ages = np.array([subject.age for subject in learnt], np.float64)
    factors, *_ = np.linalg.lstsq(np.column_stack([np.ones(len(terms)), terms]), ages, rcond=None)
    return [float(factors[0] + np.dot(_volumes_ml(subject), factors[1:])) for subject in chosen]


def _volumes_ml(subject: Subject) -> Numbers:
    if subject.labels is None:
        raise TrainingDataError(f"{subject.name}: has no labels in tissue/, which the baseline needs; add the file")
    labels = read_volume_file(subject.labels, Unit.STORED)
    return np.array([np.count_nonzero(labels.voxels == label) for label in LABELS]) * labels.grid.voxel_mm3 / ML_MM3
