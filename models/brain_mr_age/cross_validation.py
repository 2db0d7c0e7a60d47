"""Writes how the linear layers did on subjects they were fitted without."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.training.comparing import Subjects, compare_quantities
from node.training.comparison import NETWORK
from node.training.markdown import show
from node.training.subjects import Subject

Numbers = NDArray[np.float64]
MEAN_AGE = "mean_age"
TISSUE_VOLUMES = "tissue_volumes"


def write_cross_validation(subjects: Sequence[Subject], ages: Numbers, estimates: Numbers, folder: Path) -> Path:
    """Write the estimates as CSV and their errors with intervals as Markdown; return the latter's path."""
    names = [subject.name for subject in subjects]
    with (folder / "cross_validation.csv").open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(("subject", "age", "estimate"))
        writer.writerows(
            (name, f"{age:.2f}", f"{estimate:.2f}") for name, age, estimate in zip(names, ages, estimates, strict=True)
        )
    middle = [float(ages.mean())] * len(ages)
    comparison = compare_quantities(
        Subjects(names, names), ages.tolist(), {NETWORK: estimates.tolist(), MEAN_AGE: middle}
    )
    lines = [f"{len(ages)} subjects, each estimated by layers fitted without those of its fold."]
    lines += [
        f"- {measure.title}: {show(comparison.estimate(NETWORK, measure.key), measure.digits)}"
        for measure in comparison.measures
    ]
    report = folder / "cross_validation.md"
    report.write_text("\n".join(["# Cross-validation", "", *lines]) + "\n", encoding="utf-8")
    return report

