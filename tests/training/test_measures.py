"""What two images, masks or label volumes are said to have in common, against numbers worked out by hand."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from node.training.image_quality import (
    mean_absolute_error,
    peak_signal_to_noise,
    structural_similarity,
)
from node.training.label_scores import absolute_volume_difference, score_labels
from node.training.surface_distance import hausdorff_95_mm, hausdorff_mm

SPACING_MM = (3.0, 1.0, 0.5)


def block(*spans: tuple[int, int], shape: tuple[int, ...] = (12, 14, 16)) -> np.ndarray:
    mask = np.zeros(shape, np.bool_)
    mask[tuple(slice(*span) for span in spans)] = True
    return mask


@pytest.mark.parametrize(("axis", "expected"), [(0, 6.0), (1, 2.0), (2, 1.0)])
def test_a_block_moved_by_two_voxels_is_as_many_millimetres_away(axis: int, expected: float) -> None:
    truth = block((2, 6), (2, 6), (2, 6))
    moved = np.roll(truth, 2, axis=axis)
    assert hausdorff_mm(truth, moved, SPACING_MM) == pytest.approx(expected)
    assert hausdorff_mm(moved, truth, SPACING_MM) == pytest.approx(expected)


def surface_of(mask: np.ndarray) -> np.ndarray:
    padded = np.pad(mask, 1)
    inside = np.ones_like(mask)
    for step in product((-1, 0, 1), repeat=mask.ndim):
        spans = tuple(slice(1 + by, side + 1 + by) for by, side in zip(step, mask.shape, strict=True))
        inside &= padded[spans]
    return np.argwhere(mask & ~inside)


def test_distances_between_surfaces_are_those_of_all_pairs_of_voxels() -> None:
    rng = np.random.default_rng(3)
    truth = block((2, 9), (3, 10), (4, 12)) & (rng.random((12, 14, 16)) < 0.9)
    found = block((3, 10), (2, 10), (4, 11)) & (rng.random((12, 14, 16)) < 0.9)
    one, other = (surface_of(mask) * np.array(SPACING_MM) for mask in (truth, found))
    pairs = np.linalg.norm(one[:, np.newaxis] - other[np.newaxis], axis=-1)
    there, back = pairs.min(axis=1), pairs.min(axis=0)
    assert hausdorff_mm(truth, found, SPACING_MM) == pytest.approx(max(there.max(), back.max()), abs=1e-4)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert hausdorff_95_mm(truth, found, SPACING_MM) == pytest.approx(expected, abs=1e-4)


def test_one_stray_voxel_moves_the_largest_distance_only() -> None:
    truth = block((2, 10), (2, 10), (2, 10))
    stray = truth | block((6, 7), (6, 7), (15, 16))
    assert hausdorff_mm(truth, stray, SPACING_MM) == pytest.approx(3.0)
    assert hausdorff_95_mm(truth, stray, SPACING_MM) == 0.0


def test_nothing_is_infinitely_far_from_something_and_nowhere_from_nothing() -> None:
    something, nothing = block((2, 4), (2, 4), (2, 4)), block((0, 0), (0, 0), (0, 0))
    assert hausdorff_mm(something, nothing, SPACING_MM) == math.inf
    assert hausdorff_95_mm(nothing, nothing, SPACING_MM) == 0.0


def test_volumes_differ_by_a_share_of_the_true_one() -> None:
    truth = block((0, 5), (0, 2), (0, 1))
    assert absolute_volume_difference(truth, block((0, 4), (0, 2), (0, 1))) == pytest.approx(0.2)
    assert absolute_volume_difference(~(truth | ~truth), truth) == math.inf


def test_each_label_has_its_own_scores_and_the_mean_of_dice_is_over_labels() -> None:
    truth = np.array([[1, 1, 1, 2, 2, 0]])
    found = np.array([[1, 1, 2, 2, 2, 0]])
    scores = score_labels(truth, found, {"grey": 1, "white": 2}, (1.0, 1.0))
    assert scores["dice_grey"] == pytest.approx(4 / 5)
    assert scores["dice_white"] == pytest.approx(4 / 5)
    assert scores["dice"] == pytest.approx(4 / 5)
    assert scores["avd_grey"] == pytest.approx(1 / 3)
    assert scores["avd_white"] == pytest.approx(1 / 2)
    assert scores["hd95_grey"] == pytest.approx(np.percentile([0, 0, 1], 95))


def test_error_and_signal_to_noise_are_those_worked_out_by_hand() -> None:
    truth, found = np.array([[0.0, 2.0], [4.0, 9.0]], np.float32), np.array([[1.0, 2.0], [1.0, 0.0]], np.float32)
    where = np.array([[True, True], [True, False]])
    assert mean_absolute_error(truth, found, where) == pytest.approx(4 / 3)
    assert mean_absolute_error(truth, found) == pytest.approx(13 / 4)
    assert peak_signal_to_noise(truth, found, 10.0, where) == pytest.approx(10 * np.log10(100 / (10 / 3)))
    assert peak_signal_to_noise(truth, truth, 10.0) == math.inf


def test_even_pictures_are_as_similar_as_the_formula_says() -> None:
    one, other = np.full((20, 20), 100.0, np.float32), np.full((20, 20), 150.0, np.float32)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert structural_similarity(one, other, 255.0) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shape", [(13, 14), (12, 11, 13)])
def test_similarity_is_that_of_every_window_taken_alone(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(2)
    one = rng.uniform(0, 255, shape).astype(np.float32)
    other = (one + rng.normal(0, 30, shape)).astype(np.float32)
    along = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weights = along
    for _ in shape[1:]:
        weights = np.multiply.outer(weights, along)
    weights = weights / weights.sum()
    where, found = np.zeros(shape, np.bool_), []
    for start in product(*(range(side - 10) for side in shape)):
        x, y = (values[tuple(slice(at, at + 11) for at in start)].astype(float) for values in (one, other))
        mx, my = (weights * x).sum(), (weights * y).sum()
        vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
        both = (weights * (x - mx) * (y - my)).sum()
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        found.append((2 * mx * my + c1) * (2 * both + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))
    assert structural_similarity(one, other, 255.0) == pytest.approx(np.mean(found), abs=1e-9)
    where[(5,) * len(shape)] = True
    assert structural_similarity(one, other, 255.0, where) == pytest.approx(found[0], abs=1e-9)
    assert structural_similarity(one, one, 255.0) == pytest.approx(1.0)
