"""Writes how the linear layer did on subjects it was fitted without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.training.comparing import Subjects, compare_classes
from node.training.comparison import NETWORK
from node.training.cross_validation import write_rows, write_scores
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
    rows = [(name, truth, f"{share:.4f}") for name, truth, share in zip(names, truths, male, strict=True)]
    write_rows(("subject", "sex", "probability_of_male"), rows, folder)
    answers = {NETWORK: np.column_stack([1.0 - male, male])}
    comparison = compare_classes(Subjects(names, names), SEXES, truths, answers)
    count = int(np.count_nonzero(np.where(signs > 0, male, 1.0 - male) < STRONG_DISAGREEMENT))
    return write_scores(
        comparison,
        folder,
        f"{len(names)} subjects, each estimated by a layer fitted without those of its fold.",
        f"Strong disagreement (below {STRONG_DISAGREEMENT:.0%}) with a right record: {count}",
    )
