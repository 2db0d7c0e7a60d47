"""Values of images on one scale."""

from __future__ import annotations

import numpy as np
import pytest

from node.errors import PixelsRefused
from node.imaging.normalise import scale_range, stretch_exposure, whiten

BRAIN = np.zeros((6, 6, 6), np.bool_)
BRAIN[1:5, 1:5, 1:5] = True
VOXELS = np.where(BRAIN, np.random.default_rng(1).normal(300, 40, BRAIN.shape), 0).astype(np.int16)


def test_whitened_values_have_mean_zero_and_deviation_one_where_they_count() -> None:
    white = whiten(VOXELS, BRAIN)
    assert white.dtype == np.float32
    assert white[BRAIN].mean() == pytest.approx(0, abs=1e-5)
    assert white[BRAIN].std() == pytest.approx(1, abs=1e-5)
    assert (white[~BRAIN] < -5).all()


def test_everything_counts_where_nothing_is_said() -> None:
    assert whiten(VOXELS).mean() == pytest.approx(0, abs=1e-5)


def test_a_window_of_hu_becomes_minus_one_to_one() -> None:
    hu = np.array([-2000, -1000, -400, 200, 3000], np.int16)
    np.testing.assert_allclose(scale_range(hu, -1000, 200), [-1, -1, 0, 1, 1])


def test_an_image_without_contrast_or_without_a_voxel_that_counts_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="expected an image with contrast"):
        whiten(np.full((3, 3, 3), 7, np.int16), np.ones((3, 3, 3), np.bool_))
    with pytest.raises(PixelsRefused, match="no voxel belongs"):
        whiten(VOXELS, np.zeros_like(BRAIN))


def test_an_x_ray_is_stretched_to_its_own_contrast_and_black_where_it_was_not_seen() -> None:
    picture = np.linspace(0.2, 0.6, 101, dtype=np.float32).reshape(1, -1)
    seen = np.ones(picture.shape, np.bool_)
    seen[0, -20:] = False
    stretched = stretch_exposure(picture, seen)
    assert stretched[0, :2] == pytest.approx(-1.0, abs=0.01)
    assert stretched[0, 40] == pytest.approx(0.0, abs=0.01)
    assert stretched[0, 80] == 1.0
    assert (stretched[0, -20:] == -1.0).all()


def test_an_empty_exposure_is_refused_instead_of_being_stretched() -> None:
    noise = np.random.default_rng(1).normal(0.5, 0.001, (8, 8)).astype(np.float32)
    with pytest.raises(PixelsRefused, match="an X-ray needs at least"):
        stretch_exposure(noise, np.ones((8, 8), np.bool_))
    with pytest.raises(PixelsRefused, match="every pixel is padding"):
        stretch_exposure(noise, np.zeros((8, 8), np.bool_))
