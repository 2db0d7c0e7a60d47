"""Writes how a model did on subjects it was fitted without, as a table of all and as scores with intervals."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from node.training.comparison import NETWORK, Comparison
from node.training.markdown import show

TABLE = "cross_validation.csv"
REPORT = "cross_validation.md"


def write_rows(head: Sequence[str], rows: Iterable[Sequence[str]], folder: Path) -> None:
    """Write what is true and what was estimated of every subject as CSV."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        writer.writerow(head)
        writer.writerows(rows)


def write_scores(comparison: Comparison, folder: Path, before: str, *after: str) -> Path:
    """Write a sentence, the scores of the network with their intervals, and further points; return the report."""
    scores = [
        f"- {measure.title}: {show(comparison.estimate(NETWORK, measure.key), measure.digits)}"
        for measure in comparison.measures
    ]
    lines = ["# Cross-validation", "", before, *scores, *(f"- {point}" for point in after)]
    report = folder / REPORT
    report.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return report
