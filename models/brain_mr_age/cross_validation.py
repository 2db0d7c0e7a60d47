"""Writes how the linear layers did on subjects they were fitted without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.training.comparing import Subjects, compare_quantities
from node.training.comparison import NETWORK
from node.training.cross_validation import write_rows, write_scores
from node.training.subjects import Subject

Numbers = NDArray[np.float64]
MEAN_AGE = "mean_age"
TISSUE_VOLUMES = "tissue_volumes"


def write_cross_validation(subjects: Sequence[Subject], ages: Numbers, estimates: Numbers, folder: Path) -> Path:
    """Write the estimates as CSV and their errors with intervals as Markdown; return the latter's path."""
    names = [subject.name for subject in subjects]
    rows = [(name, f"{age:.2f}", f"{found:.2f}") for name, age, found in zip(names, ages, estimates, strict=True)]
    write_rows(("subject", "age", "estimate"), rows, folder)
    middle = [float(ages.mean())] * len(ages)
    comparison = compare_quantities(
        Subjects(names, names), ages.tolist(), {NETWORK: estimates.tolist(), MEAN_AGE: middle}
    )
    sentence = f"{len(ages)} subjects, each estimated by layers fitted without those of its fold."
    return write_scores(comparison, folder, sentence)
