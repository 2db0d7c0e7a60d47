"""Builds the comparison of methods for the usual kinds of answers: numbers per case, classes, quantities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from node.training.comparison import NETWORK, Case, Comparison, Measure, Section
from node.training.markdown import table
from node.training.statistics import (
    Statistic,
    area_under_curve_of,
    balanced_accuracy_of,
    correlation_of,
    mean_of,
    ratio_of,
    recall_of,
    root_mean_square_of,
)

Probabilities = NDArray[np.float32] | NDArray[np.float64]

ACCURACY = Measure("accuracy", "Accuracy")
BALANCED_ACCURACY = Measure("balanced_accuracy", "Balanced accuracy")
MEAN_ABSOLUTE_ERROR = Measure("mae", "Mean absolute error", higher_is_better=False, digits=2)
ROOT_MEAN_SQUARE_ERROR = Measure("rmse", "Root mean square error", higher_is_better=False, digits=2)
BIAS = Measure("bias", "Bias", higher_is_better=None, digits=2)
CORRELATION = Measure("correlation", "Correlation")
COVERAGE = Measure("coverage", "Truth inside the interval")


@dataclass(frozen=True)
class Subjects:
    """Whose cases they are: name and patient of each, and the groups each belongs to."""

    names: Sequence[str]
    patients: Sequence[str]
    groups: Sequence[tuple[str, ...]] = ()

    def case(self, number: int, scores: Mapping[str, Mapping[str, float]], **facts: str) -> Case:
        """Return one case with its scores by method."""
        groups = self.groups[number] if self.groups else ()
        return Case(self.names[number], self.patients[number], scores, groups, facts)


def compare_numbers(cases: Sequence[Case], measures: Sequence[Measure], noun: str = "cases") -> Comparison:
    """Compare the means of the numbers that every case has for each method and measure.

    A number may be NaN where a case has none; it does not count. The first measure ranks the cases.
    """
    methods: dict[str, dict[str, Statistic]] = {
        method: {
            measure.key: mean_of([case.scores[method][measure.key] for case in cases])
            for measure in measures
            if measure.key in cases[0].scores[method]
        }
        for method in cases[0].scores
    }
    return Comparison(tuple(cases), tuple(measures), methods, noun, ranked_by=measures[0].key)


def compare_classes(
    subjects: Subjects, classes: Sequence[str], truths: Sequence[str], answers: Mapping[str, Probabilities]
) -> Comparison:
    """Compare accuracy, balanced accuracy, and recall, precision and AUC of each class.

    `answers` are (cases, classes) probabilities by method, the network's first; of a method that only
    names a class, 1 for it and 0 for the others. The class with the highest probability is the answer.
    """
    found = {method: [classes[place] for place in np.argmax(rows, axis=1)] for method, rows in answers.items()}
    methods = {
        method: _statistics_of_classes(classes, truths, found[method], rows) for method, rows in answers.items()
    }
    cases = tuple(
        subjects.case(
            number,
            {method: dict(zip(classes, map(float, rows[number]), strict=True)) for method, rows in answers.items()},
            truth=truth,
            answer=found[NETWORK][number],
        )
        for number, truth in enumerate(truths)
    )
    confusion = Section("Truth (rows) and answer of the network (columns)", _confusion(classes, truths, found[NETWORK]))
    return Comparison(cases, _measures_of_classes(classes), methods, sections=(confusion,))


def compare_quantities(
    subjects: Subjects,
    truths: Sequence[float],
    estimates: Mapping[str, Sequence[float]],
    interval: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Comparison:
    """Compare mean absolute and root mean square error, bias and correlation, all in the unit of the truth.

    `interval` holds the network's lower and upper limits, of which the share that hold the truth is told.
    """
    true = np.asarray(truths, float)
    methods: dict[str, dict[str, Statistic]] = {}
    errors = {method: np.asarray(values, float) - true for method, values in estimates.items()}
    for method, error in errors.items():
        methods[method] = {"mae": mean_of(np.abs(error)), "rmse": root_mean_square_of(error), "bias": mean_of(error)}
        if np.ptp(true + error) > 0:
            methods[method]["correlation"] = correlation_of(true, true + error)
    if interval is not None:
        low, high = (np.asarray(limit, float) for limit in interval)
        methods[NETWORK]["coverage"] = mean_of((low <= true) & (true <= high))
    cases = tuple(
        subjects.case(
            number,
            {method: {"mae": abs(float(error[number])), "bias": float(error[number])}
             for method, error in errors.items()},
            truth=f"{true[number]:.4g}",
        )
        for number in range(len(true))
    )
    measures = (MEAN_ABSOLUTE_ERROR, ROOT_MEAN_SQUARE_ERROR, BIAS, CORRELATION, COVERAGE)
    present = tuple(measure for measure in measures if measure.key in methods[NETWORK])
    return Comparison(cases, present, methods, ranked_by="mae")


def with_sections(comparison: Comparison, *sections: Section) -> Comparison:
    """Return the comparison with further parts for its report."""
    return replace(comparison, sections=(*comparison.sections, *sections))


def _measures_of_classes(classes: Sequence[str]) -> tuple[Measure, ...]:
    recalls = (Measure(f"recall_{name}", f"Recall {name}") for name in classes)
    precisions = (Measure(f"precision_{name}", f"Precision {name}") for name in classes)
    areas = (Measure(f"auc_{name}", f"AUC {name}") for name in classes)
    return ACCURACY, BALANCED_ACCURACY, *recalls, *precisions, *areas


def _statistics_of_classes(
    classes: Sequence[str], truths: Sequence[str], found: Sequence[str], rows: Probabilities
) -> dict[str, Statistic]:
    is_right = np.array([truth == answer for truth, answer in zip(truths, found, strict=True)], float)
    statistics = {"accuracy": mean_of(is_right), "balanced_accuracy": balanced_accuracy_of(is_right, truths)}
    for place, name in enumerate(classes):
        answered = np.array([answer == name for answer in found], float)
        statistics[f"recall_{name}"] = recall_of(is_right, truths, name)
        statistics[f"precision_{name}"] = ratio_of(is_right * answered, answered)
        statistics[f"auc_{name}"] = area_under_curve_of(rows[:, place], [truth == name for truth in truths])
    return statistics


def _confusion(classes: Sequence[str], truths: Sequence[str], found: Sequence[str]) -> str:
    pairs = list(zip(truths, found, strict=True))
    rows = [[truth, *(str(pairs.count((truth, answer))) for answer in classes)] for truth in classes]
    return table(["", *classes], rows)
