"""What is written of a cross-validation."""

from __future__ import annotations

from pathlib import Path

from node.training.comparing import Subjects, compare_quantities
from node.training.comparison import NETWORK
from node.training.cross_validation import write_rows, write_scores


def test_a_cross_validation_lists_every_subject_and_the_scores_of_the_network_only(tmp_path: Path) -> None:
    names = ["a", "b", "c"]
    write_rows(("subject", "age"), [(name, "40") for name in names], tmp_path)
    assert (tmp_path / "cross_validation.csv").read_text().split() == ["subject,age", "a,40", "b,40", "c,40"]

    comparison = compare_quantities(
        Subjects(names, names), [40.0, 50.0, 60.0], {NETWORK: [41.0, 51.0, 61.0], "mean": [50.0] * 3}
    )
    lines = write_scores(comparison, tmp_path, "Three subjects.", "A point: 1").read_text().splitlines()
    assert lines[:4] == ["# Cross-validation", "", "Three subjects.", "- Mean absolute error: 1.00 [1.00, 1.00]"]
    assert lines[-1] == "- A point: 1"
