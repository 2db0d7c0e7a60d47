"""The evaluation of several methods on the same pictures, and its report."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.imaging.image import PlanarImage
from node.training.baselines import dark_areas, mean_shape
from node.training.comparison import Comparison
from node.training.evaluation import evaluate
from node.training.evaluation_report import Circumstances, write_evaluation
from node.training.samples import Sample, Split
from node.vocabulary import Mask

# Each picture is bright in its left part of this many columns; the truth is its left half.
BRIGHT_COLUMNS = {"exact": 10, "narrow": 5, "wide": 20}


@pytest.fixture
def evaluation(tmp_path: Path) -> Comparison:
    samples = [write_sample(tmp_path, name, columns) for name, columns in BRIGHT_COLUMNS.items()]
    return evaluate(samples, {"network": bright_mask, "everything": lambda image: ~image.padding})


def write_sample(folder: Path, name: str, bright_columns: int) -> Sample:
    picture, mask = np.zeros((2, 10, 20), np.uint8)
    picture[:, :bright_columns] = 200
    mask[:, :10] = 255
    Image.fromarray(picture).save(folder / f"{name}.png")
    Image.fromarray(mask).save(folder / f"{name}_mask.png")
    view = "AP" if name == "narrow" else "PA"
    return Sample(name, name, folder / f"{name}.png", (folder / f"{name}_mask.png",), Split.TEST, view, "open")


def bright_mask(image: PlanarImage) -> Mask:
    return np.asarray(image.pixels > 0.5)


def test_means_are_over_pictures(evaluation: Comparison) -> None:
    expected = {"dice": (1 + 2 / 3 + 2 / 3) / 3, "recall": (1 + 0.5 + 1) / 3, "precision": (1 + 1 + 0.5) / 3}
    for measure, mean in expected.items():
        found = evaluation.estimate("network", measure)
        assert found is not None
        assert found.mean == pytest.approx(mean)


def test_the_gain_over_a_baseline_is_paired_by_picture(evaluation: Comparison) -> None:
    gain = evaluation.gain("everything", "dice")
    assert gain is not None
    assert gain.mean == pytest.approx(1 / 9)
    assert (gain.low, gain.high) == pytest.approx((0.0, 1 / 3))


def test_scores_are_also_given_for_each_view(evaluation: Comparison) -> None:
    parts = evaluation.subsets()
    assert {name: len(part.taking_part) for name, part in parts.items()} == {"AP": 1, "PA": 2}


def test_the_report_names_the_worst_pictures_and_the_numbers_file_agrees(
    evaluation: Comparison, tmp_path: Path
) -> None:
    circumstances = Circumstances("m", "ab" * 32, "set", "test", date(2026, 11, 20))
    report = write_evaluation(evaluation, circumstances, tmp_path).read_text()
    assert "3 pictures of 3 patients from set, 2026-11-20" in report
    assert "| network | 0.778 [" in report
    assert report.index("| narrow | AP") < report.index("| exact | PA")
    numbers = json.loads((tmp_path / "evaluation.json").read_text())
    assert numbers["all"]["methods"]["network"]["dice"]["mean"] == pytest.approx(7 / 9)
    assert [case["name"] for case in numbers["cases"]] == ["exact", "narrow", "wide"]


def test_the_dark_areas_of_a_picture_are_two_lungs_without_the_air_around() -> None:
    picture = np.ones((128, 128), np.float32)
    picture[:, :12] = picture[:, -12:] = -1.0
    picture[24:104, 24:52] = picture[24:104, 76:104] = -0.8
    where = np.zeros(picture.shape, np.bool_)
    where[20:108, 20:108] = True
    expected = picture == np.float32(-0.8)
    found = dark_areas(picture, where, least_fraction=0.01)
    assert 2 * (found & expected).sum() / (found.sum() + expected.sum()) > 0.95
    assert not found[:, :12].any()


def test_the_mean_shape_is_how_often_a_pixel_is_structure() -> None:
    truths = np.array([[[1.0, 0.0, -1.0]], [[1.0, 1.0, 0.0]]], np.float32)[..., np.newaxis]
    np.testing.assert_array_equal(mean_shape(truths), [[1.0, 0.5, 0.0]])
