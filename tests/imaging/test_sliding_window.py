"""Windows over a volume, and one answer from all of them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.imaging.sliding_window import SlidingWindow

LENGTHS = st.tuples(st.integers(1, 21), st.integers(1, 21), st.integers(1, 21))
SIZES = st.tuples(st.integers(1, 9), st.integers(2, 9), st.integers(3, 9))


@given(LENGTHS, SIZES, st.sampled_from([0.0, 0.25, 0.5, 0.75]))
@settings(max_examples=60, deadline=None)
def test_a_network_that_changes_nothing_gives_the_volume_back(
    shape: tuple[int, int, int], size: tuple[int, int, int], overlap: float
) -> None:
    windows = SlidingWindow(size, overlap)
    volume = np.random.default_rng(sum(shape)).normal(size=(*shape, 2)).astype(np.float32)
    joined = windows.join(windows.cut(volume), shape)
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, volume, rtol=1e-5, atol=1e-6)


@given(LENGTHS, SIZES)
@settings(max_examples=60, deadline=None)
def test_neighbouring_windows_share_as_much_as_asked(shape: tuple[int, ...], size: tuple[int, ...]) -> None:
    for axis, (side, length) in enumerate(zip(shape, size, strict=True)):
        starts = sorted({corner[axis] for corner in SlidingWindow(size, 0.5).corners(shape)})
        assert starts[0] <= 0
        assert starts[-1] + length >= side
        assert all(later - earlier <= max(1, np.ceil(length / 2)) for earlier, later in pairwise(starts))


def test_a_picture_has_windows_too() -> None:
    picture = np.arange(70, dtype=np.float32).reshape(7, 10, 1)
    windows = SlidingWindow((4, 4))
    assert windows.cut(picture).shape == (12, 4, 4, 1)
    np.testing.assert_allclose(windows.join(windows.cut(picture), (7, 10)), picture, rtol=1e-5)


def test_where_two_windows_disagree_the_one_it_is_central_in_counts_more() -> None:
    windows = SlidingWindow((8,), overlap=0.5)
    assert windows.corners((12,)) == [(0,), (4,)]
    joined = windows.join(np.stack([np.zeros((8, 1)), np.ones((8, 1))]).astype(np.float32), (12,))[:, 0]
    assert (joined[:4] == 0).all()
    assert (joined[8:] == 1).all()
    assert 0 < joined[4] < joined[5] < 0.5 < joined[6] < joined[7] < 1
    assert joined[5] == pytest.approx(1 - joined[6])


def test_what_a_short_axis_lacks_is_filled_in_and_left_out_again() -> None:
    windows = SlidingWindow((4, 4))
    cut = windows.cut(np.ones((2, 3, 1), np.float32), outside=-1.0)
    assert cut.shape == (1, 4, 4, 1)
    assert cut.sum() == 6 - 10
    np.testing.assert_allclose(windows.join(cut, (2, 3)), 1.0)
