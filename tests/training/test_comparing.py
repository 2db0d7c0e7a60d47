"""Comparisons of methods that name classes or estimate quantities."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from node.training.comparing import Subjects, compare_classes, compare_numbers, compare_quantities, with_sections
from node.training.comparison import Case, Comparison, Measure, Section
from node.training.evaluation_report import Illustration, circumstances_of, write_evaluation
from node.training.options import TrainingOptions
from node.training.run_record import RunRecord, write_record

NAMES = ("a", "b", "c", "d", "e", "f")
TRUTHS = ["cat", "cat", "cat", "dog", "dog", "dog"]
NETWORK_SAYS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.1, 0.9], [0.4, 0.6]])
ALWAYS_CAT = np.repeat([[1.0, 0.0]], 6, axis=0)


@pytest.fixture
def classes() -> Comparison:
    subjects = Subjects(NAMES, NAMES, groups=[("young",)] * 3 + [("old",)] * 3)
    answers = {"network": NETWORK_SAYS, "always_cat": ALWAYS_CAT}
    return compare_classes(subjects, ("cat", "dog"), TRUTHS, answers)


def mean(comparison: Comparison, method: str, measure: str) -> float:
    estimate = comparison.estimate(method, measure)
    assert estimate is not None
    return estimate.mean


def test_accuracy_recall_precision_and_area_are_those_worked_out_by_hand(classes: Comparison) -> None:
    expected = {
        "accuracy": 5 / 6, "balanced_accuracy": 5 / 6, "recall_cat": 2 / 3, "recall_dog": 1.0,
        "precision_cat": 1.0, "precision_dog": 3 / 4, "auc_cat": 7 / 9, "auc_dog": 7 / 9,
    }  # fmt: skip
    found = {measure.key: mean(classes, "network", measure.key) for measure in classes.measures}
    assert found == pytest.approx(expected)
    assert mean(classes, "always_cat", "auc_cat") == 0.5


def test_the_report_of_classes_has_the_confusions_and_no_number_where_there_is_none(
    classes: Comparison, tmp_path: Path
) -> None:
    weights = tmp_path / "best.weights.h5"
    weights.write_bytes(b"1")
    write_record(RunRecord("m", "set", TrainingOptions(variant="tutorial")), tmp_path)
    circumstances = circumstances_of("m", weights, Path("/somewhere/set"), "val", date(2026, 11, 20))
    (tmp_path / "curves.png").write_bytes(b"")
    illustration = Illustration("curves.png", "Accuracy per epoch")
    report = write_evaluation(classes, circumstances, tmp_path, [illustration]).read_text()
    assert "variant tutorial" in report
    assert "| cat | 2 | 1 |" in report
    assert "| dog | 0 | 3 |" in report
    assert "![Accuracy per epoch](curves.png)" in report
    numbers = json.loads((tmp_path / "evaluation.json").read_text())
    assert numbers["all"]["cases"] == numbers["all"]["patients"] == 6
    assert numbers["all"]["gain"]["accuracy"]["always_cat"]["mean"] == pytest.approx(1 / 3)
    assert numbers["subsets"]["old"]["methods"]["network"]["recall_cat"]["mean"] is None
    assert numbers["cases"][2] == {
        "name": "c", "patient": "c", "truth": "cat", "answer": "dog",
        "network": {"cat": 0.2, "dog": 0.8}, "always_cat": {"cat": 1.0, "dog": 0.0},
    }  # fmt: skip


def test_errors_of_quantities_are_those_worked_out_by_hand_and_less_is_a_gain() -> None:
    subjects = Subjects(("a", "b", "c"), ("a", "b", "c"))
    estimates = {"network": [31.0, 38.0, 50.0], "always_40": [40.0, 40.0, 40.0]}
    interval = ([25.0, 39.0, 40.0], [35.0, 45.0, 60.0])
    compared = compare_quantities(subjects, [30.0, 40.0, 50.0], estimates, interval)
    expected = {"mae": 1.0, "rmse": np.sqrt(5 / 3), "bias": -1 / 3, "coverage": 1.0}
    assert {key: mean(compared, "network", key) for key in expected} == pytest.approx(expected)
    correlation = np.corrcoef([30, 40, 50], estimates["network"])[0, 1]
    assert mean(compared, "network", "correlation") == pytest.approx(correlation)
    assert compared.estimate("always_40", "correlation") is None
    gain = compared.gain("always_40", "mae")
    assert gain is not None
    assert gain.mean == pytest.approx((10 + 0 + 10) / 3 - 1)
    assert compared.gain("always_40", "bias") is None
    assert compared.worst(1)[0].name == "b"


def test_a_number_that_a_case_lacks_does_not_count_and_sections_are_told(tmp_path: Path) -> None:
    scores = [{"network": {"dice": 0.5}}, {"network": {"dice": float("nan")}}]
    cases = [Case(name, name, score) for name, score in zip("ab", scores, strict=True)]
    compared = with_sections(compare_numbers(cases, [Measure("dice", "Dice")]), Section("Failures", "None."))
    assert mean(compared, "network", "dice") == 0.5
    weights = tmp_path / "w.weights.h5"
    weights.write_bytes(b"1")
    circumstances = circumstances_of("m", weights, tmp_path, "test", date(2026, 11, 20))
    report = write_evaluation(compared, circumstances, tmp_path).read_text()
    assert [case.name for case in compared.worst(5)] == ["a"]
    assert "## Failures\n\nNone." in report
    assert json.loads((tmp_path / "evaluation.json").read_text())["cases"][1]["network"]["dice"] is None
