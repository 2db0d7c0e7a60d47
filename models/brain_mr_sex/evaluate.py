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
from node.training.comparing import Subjects, compare_classes, with_sections
from node.training.comparison import NETWORK, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.options import SERVED
from node.training.prediction import load_network, predict_with
from node.training.run_record import variant_of
from node.training.samples import Split
from node.training.subjects import Subject, choose_subjects, read_subjects

from .architecture import VARIANTS, build
from .cross_validation import STRONG_DISAGREEMENT
from .preprocess import SEXES, interpret, prepare
from .train import read_learnt

BRAIN = (2, 3)  # grey and white matter in the files of `tissue`
SEEN = Section(
    "Seen in training",
    "The linear layer was fitted on these subjects too: `cross_validation.md` tells what to expect of others.",
)

Probabilities = NDArray[np.float64]


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights, a threshold on the brain's volume and the commoner sex, and report beside the weights."""
    learnt = read_learnt(data)
    chosen = [one for one in choose_subjects(read_subjects(data), split) if one.sex in SEXES]
    names, truths = [one.name for one in chosen], [one.sex for one in chosen]
    found = _estimate(chosen, weights)
    threshold_ml = _threshold_ml(learnt)
    commoner = max(SEXES, key=[one.sex for one in learnt].count)
    answers = {
        NETWORK: found,
        "brain_volume": _certain(["M" if _brain_ml(one) > threshold_ml else "F" for one in chosen]),
        "commoner_sex": _certain([commoner] * len(chosen)),
    }
    comparison = with_sections(compare_classes(Subjects(names, names), SEXES, truths, answers), _flag(truths, found))
    if split is not Split.TEST and variant_of(weights) == SERVED:
        comparison = with_sections(comparison, SEEN)
    return write_evaluation(
        comparison, circumstances_of("brain_mr_sex", weights, data, split.value, day), weights.parent
    )


def _estimate(subjects: Sequence[Subject], weights: Path) -> Probabilities:
    """Return the (subjects, sexes) probabilities."""
    predict = predict_with(load_network(weights, build, VARIANTS))
    rows = []
    for subject in subjects:
        volume = read_volume_file(subject.volume, Unit.STORED)
        shares = interpret(predict(prepare(volume)), volume).classifications[0].probabilities
        rows.append([shares[sex] for sex in SEXES])
    return np.array(rows)


def _flag(truths: Sequence[str], found: Probabilities) -> Section:
    """Tell how often a flag for a mistaken identity would be raised although the record is right."""
    of_record = np.array([row[SEXES.index(truth)] for truth, row in zip(truths, found, strict=True)])
    count = int(np.count_nonzero(of_record < STRONG_DISAGREEMENT))
    return Section(
        "Strong disagreement with a right record",
        f"The sex of the record has a probability below {STRONG_DISAGREEMENT:.0%} in {count} of {len(truths)}.",
    )


def _threshold_ml(learnt: Sequence[Subject]) -> float:
    """Return the volume that best divides the subjects learnt from, larger brains being male."""
    volumes = np.array([_brain_ml(one) for one in learnt])
    male = np.array([one.sex == "M" for one in learnt])
    order = np.sort(volumes)
    between = (order[1:] + order[:-1]) / 2
    return float(max(between, key=lambda threshold: np.mean((volumes > threshold) == male)))


def _brain_ml(subject: Subject) -> float:
    if subject.labels is None:
        raise TrainingDataError(f"{subject.name}: has no labels in tissue/, which the baseline needs; add the file")
    labels = read_volume_file(subject.labels, Unit.STORED)
    return float(np.isin(labels.voxels, BRAIN).sum() * labels.grid.voxel_mm3 / 1000.0)


def _certain(sexes: Sequence[str]) -> Probabilities:
    return np.array([[float(sex == name) for name in SEXES] for sex in sexes])
