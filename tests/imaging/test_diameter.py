"""The longest diameter: between pixel borders, in mm, in the slice where it is longest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from volumes import ct_study

from node.imaging.diameter import Diameter, longest_diameter
from node.imaging.measure import NotMeasured, measure_diameter, measure_score, measure_share
from node.imaging.series import read_volume
from node.vocabulary import Mask, Measurement

SPACING_MM = (5.0, 0.8, 0.5)


def empty() -> Mask:
    return np.zeros((3, 40, 40), bool)


@pytest.mark.parametrize(
    ("part", "length_mm"),
    [
        (np.s_[1, 7, 9], 0.8),
        (np.s_[1, 7, 3:13], 5.0),
        (np.s_[1, 3:13, 9], 8.0),
        (np.s_[1, 3:13, 3:13], float(np.hypot(9 * 0.8 + 0.8, 9 * 0.5))),
    ],
)
def test_a_straight_row_of_pixels_is_as_long_as_its_pixels(part: tuple[int | slice, ...], length_mm: float) -> None:
    mask = empty()
    mask[part] = True
    assert longest_diameter(mask, SPACING_MM) == Diameter(pytest.approx(length_mm), 1)


def test_a_disc_is_as_wide_as_it_was_drawn() -> None:
    rows, columns = np.mgrid[:40, :40] - 20
    mask = empty()
    mask[2] = np.hypot(rows * 0.8, columns * 0.5) <= 9.0
    found = longest_diameter(mask, SPACING_MM)
    assert (found.length_mm, found.slice_number) == (pytest.approx(18.0, abs=0.8), 2)


def test_the_slice_with_the_longest_line_counts_and_the_first_of_equal_ones() -> None:
    mask = empty()
    mask[0, 5, 5:9] = mask[1, 5, 5:20] = mask[2, 9, 9:24] = True
    assert longest_diameter(mask, SPACING_MM) == Diameter(pytest.approx(7.5), 1)


def test_a_diameter_is_taken_across_separate_parts() -> None:
    mask = empty()
    mask[1, 5, 5] = mask[1, 5, 34] = True
    assert longest_diameter(mask, SPACING_MM).length_mm == pytest.approx(15.0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.02, 0.9))
def test_no_two_border_points_lie_further_apart(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((2, 6, 7)) < share
    mask[0, 2, 3] = True
    points = [
        np.argwhere(plane)[:, np.newaxis] + np.array([(-0.5, 0), (0.5, 0), (0, -0.5), (0, 0.5)]) for plane in mask
    ]
    apart = [0.0]
    for one in points:
        places = one.reshape(-1, 2) * SPACING_MM[1:]
        if len(places):
            apart.append(float(np.linalg.norm(places[:, np.newaxis] - places, axis=2).max()))
    assert longest_diameter(mask, SPACING_MM).length_mm == pytest.approx(max(apart))


def test_nothing_has_no_diameter() -> None:
    with pytest.raises(ValueError, match="no diameter"):
        longest_diameter(empty(), SPACING_MM)
    assert measure_diameter(np.zeros((20, 24, 30), bool), read_volume(ct_study())) == NotMeasured("nothing is outlined")


def test_the_diameter_of_a_finding_is_coded_in_mm() -> None:
    mask = np.zeros((20, 24, 30), bool)
    mask[3, 4, 5:15] = True
    measured = measure_diameter(mask, read_volume(ct_study(spacing=(2.0, 1.5, 1.0))))
    assert isinstance(measured, Measurement)
    assert (measured.name.value, measured.unit.value, measured.value) == ("103339001", "mm", pytest.approx(10.0))


def test_a_score_is_a_probability_and_its_absence_has_a_reason() -> None:
    measured = measure_score(0.75)
    assert isinstance(measured, Measurement)
    assert (measured.name.value, measured.unit.value, measured.value) == ("122157", "1", 0.75)
    assert measure_score(None) == NotMeasured("the model gave none")


def test_shares_of_all_structures_sum_to_a_hundred_percent() -> None:
    masks = [np.zeros((2, 5, 5), bool) for _ in range(3)]
    masks[0][0, :, :3], masks[1][0, :, 3:], masks[2][1, 0] = True, True, True
    shares = [measure_share(mask, masks).value for mask in masks]
    assert shares == pytest.approx([50.0, 100 / 3, 100 / 6])
