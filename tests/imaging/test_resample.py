"""The square grid of a network against the grid of the picture it came from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.imaging.resample import letterbox, undo_letterbox
from node.vocabulary import Pixels


def disc(rows: int, columns: int, row: float, column: float, radius: float) -> Pixels:
    down, across = np.mgrid[0:rows, 0:columns]
    return ((down - row) ** 2 + (across - column) ** 2 <= radius**2).astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 97), columns=st.integers(1, 97), size=st.integers(2, 64))
def test_a_map_always_returns_to_the_grid_of_its_picture(rows: int, columns: int, size: int) -> None:
    square = letterbox(np.ones((rows, columns), np.float32), size)
    assert square.shape == (size, size)
    assert undo_letterbox(square, (rows, columns)).shape == (rows, columns)


@pytest.mark.parametrize("shape", [(513, 301), (301, 513), (2047, 1999), (128, 100), (256, 256)])
def test_a_disc_comes_back_where_it_was(shape: tuple[int, int]) -> None:
    rows, columns = shape
    row, column, radius = 0.4 * rows, 0.6 * columns, 0.2 * min(shape)
    original = disc(rows, columns, row, column, radius)
    returned = undo_letterbox(letterbox(original, 256), shape) > 0.5
    centre = np.argwhere(returned).mean(axis=0)
    np.testing.assert_allclose(centre, np.argwhere(original).mean(axis=0), atol=0.1 * max(1.0, max(shape) / 256))
    common = np.logical_and(returned, original).sum()
    assert 2 * common / (returned.sum() + original.sum()) > 0.985


def test_a_picture_of_the_size_of_the_grid_is_left_alone() -> None:
    picture = np.random.default_rng(1).random((64, 64)).astype(np.float32)
    np.testing.assert_allclose(letterbox(picture, 64), picture, atol=1e-6)


def test_a_wide_picture_is_centred_between_bars_of_the_outside_value() -> None:
    square = letterbox(np.ones((10, 20), np.float32), 20, outside=-1.0)
    np.testing.assert_array_equal(square[:5], -1.0)
    np.testing.assert_array_equal(square[5:15], 1.0)
    np.testing.assert_array_equal(square[15:], -1.0)


def test_a_fine_grid_of_lines_shrinks_to_its_mean_and_not_to_a_pattern() -> None:
    lines = np.tile(np.array([0.0, 1.0], np.float32), (512, 256))
    shrunk = letterbox(lines, 64)
    np.testing.assert_allclose(shrunk[:, 1:-1], 0.5, atol=0.02)


def test_enlarging_is_linear_between_pixel_centres() -> None:
    ramp = np.tile(np.arange(4, dtype=np.float32), (4, 1))
    enlarged = undo_letterbox(ramp, (8, 8))
    np.testing.assert_allclose(enlarged[0], [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3], atol=1e-6)
