"""Writes how the linear layer did on subjects it was fitted without."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.training.comparing import Subjects, compare_classes
from node.training.comparison import NETWORK
from node.training.markdown import show
from node.training.subjects import Subject

from .preprocess import SEXES

Numbers = NDArray[np.float64]
# A sex that the record states and the model gives less than this probability would be called a strong disagreement.
STRONG_DISAGREEMENT = 0.02


def write_cross_validation(subjects: Sequence[Subject], signs: Numbers, log_odds: Numbers, folder: Path) -> Path:
    """Write the probabilities as CSV and their accuracy with intervals as Markdown; return the latter's path."""
    names = [subject.name for subject in subjects]
    truths = ["M" if sign > 0 else "F" for sign in signs]
    male = 1.0 / (1.0 + np.exp(-log_odds))
    with (folder / "cross_validation.csv").open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("subject", "sex", "probability_of_male"))
        writer.writerows((*row, f"{share:.4f}") for *row, share in zip(names, truths, male, strict=True))
    answers = {NETWORK: np.column_stack([1.0 - male, male])}
    comparison = compare_classes(Subjects(names, names), SEXES, truths, answers)
    lines = [f"{len(names)} subjects, each estimated by a layer fitted without those of its fold."]
    lines += [
        f"- {measure.title}: {show(comparison.estimate(NETWORK, measure.key), measure.digits)}"
        for measure in comparison.measures
    ]
    of_record = np.where(signs > 0, male, 1.0 - male)
    count = int(np.count_nonzero(of_record < STRONG_DISAGREEMENT))
    lines.append(f"- Strong disagreement (below {STRONG_DISAGREEMENT:.0%}) with a right record: {count}")
    report = folder / "cross_validation.md"
    report.write_text("\n".join(["# Cross-validation", "", *lines]) + "\n", encoding="utf-8")
    return report
