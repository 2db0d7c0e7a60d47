"""Borders of masks as SCOORD polygons: on the pixel edges, closed, and one for each region."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from results.lung_requests import lung_mask

from node.results.contour import TOLERANCE_PX, Polygon, outer_contours
from node.vocabulary import Mask

SMALL_MASKS = arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


def filled(polygon: Polygon, shape: tuple[int, int]) -> Mask:
    """Return the pixels whose centre lies inside the polygon, by the even-odd rule."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    inside = np.zeros(shape, dtype=bool)
    for (x, y), (next_x, next_y) in pairwise(polygon):
        if y != next_y:
            crossing = (y <= rows) != (next_y <= rows)
            inside ^= crossing & (columns < x + (rows - y) * (next_x - x) / (next_y - y))
    return inside


def outside(mask: Mask) -> Mask:
    """Return the pixels that a walk over background, also diagonally, reaches from beyond the picture."""
    reached = np.pad(np.zeros_like(mask), 1, constant_values=True)
    free = np.pad(~mask, 1, constant_values=True)
    while True:
        grown = reached.copy()
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                grown |= np.roll(reached, (down, across), axis=(0, 1))
        grown &= free
        if np.array_equal(grown, reached):
            return reached[1:-1, 1:-1]
        reached = grown


@settings(deadline=None)
@given(SMALL_MASKS)
def test_unsimplified_borders_enclose_the_mask_and_its_holes_exactly(mask: Mask) -> None:
    covered = np.zeros(mask.shape, dtype=bool)
    for polygon in outer_contours(mask, tolerance_px=0.0):
        covered |= filled(polygon, mask.shape)
    assert np.array_equal(covered, ~outside(mask))


@settings(deadline=None)
@given(SMALL_MASKS)
def test_every_border_is_closed_and_stays_on_the_picture(mask: Mask) -> None:
    for polygon in outer_contours(mask):
        assert len(polygon) >= 4
        assert np.array_equal(polygon[0], polygon[-1])
        assert polygon.min() >= 0
        assert np.all(polygon <= (mask.shape[1], mask.shape[0]))


def test_a_single_pixel_is_outlined_along_its_edges() -> None:
    mask = np.zeros((4, 6), dtype=bool)
    mask[2, 5] = True
    (polygon,) = outer_contours(mask)
    assert {tuple(point) for point in polygon.tolist()} == {(5, 2), (6, 2), (6, 3), (5, 3)}


def test_a_mask_that_fills_the_picture_is_outlined_by_its_corners() -> None:
    (polygon,) = outer_contours(np.ones((3, 5), dtype=bool))
    assert sorted({tuple(point) for point in polygon.tolist()}) == [(0, 0), (0, 3), (5, 0), (5, 3)]


def test_pixels_that_touch_by_a_corner_are_two_regions() -> None:
    assert len(outer_contours(np.eye(2, dtype=bool))) == 2


def test_a_hole_is_not_outlined() -> None:
    mask = np.ones((5, 5), dtype=bool)
    mask[2, 2] = False
    assert len(outer_contours(mask)) == 1


def test_the_largest_region_comes_first() -> None:
    mask = np.zeros((9, 9), dtype=bool)
    mask[0, 0] = mask[4:8, 4:8] = True
    largest, smallest = outer_contours(mask)
    assert filled(largest, mask.shape).sum() == 16
    assert filled(smallest, mask.shape).sum() == 1


def test_an_empty_mask_has_no_border() -> None:
    assert outer_contours(np.zeros((4, 4), dtype=bool)) == []


def test_the_contour_of_a_real_lung_is_short_and_within_a_pixel_of_its_edge(shared: Path) -> None:
    mask = lung_mask(shared)
    exact, short = outer_contours(mask, tolerance_px=0.0), outer_contours(mask)
    assert len(short) == len(exact) == 2
    for edge, polygon in zip(exact, short, strict=True):
        assert len(polygon) < len(edge) / 2
        assert distance_px(edge, polygon) <= TOLERANCE_PX + 1e-4


def distance_px(points: Polygon, polygon: Polygon) -> float:
    """Return how far the farthest of the points lies from the polygon."""
    nearest = np.full(len(points), np.inf)
    for begin, end in pairwise(polygon):
        along = end - begin
        share = np.clip((points - begin) @ along / (along @ along), 0, 1)
        nearest = np.minimum(nearest, np.hypot(*(points - begin - share[:, None] * along).T))
    return float(nearest.max())
