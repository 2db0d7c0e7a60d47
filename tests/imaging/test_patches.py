"""Patches of pictures and volumes."""

from __future__ import annotations

import numpy as np
import pytest

from node.imaging.patches import (
    cut_patch,
    draw_balanced_corner,
    draw_balanced_patches,
    draw_corner,
    draw_corner_on,
)


def test_a_patch_over_the_edge_is_filled_in() -> None:
    array = np.arange(12).reshape(3, 4)
    np.testing.assert_array_equal(cut_patch(array, (-1, 2), (3, 3), outside=-9), [[-9] * 3, [2, 3, -9], [6, 7, -9]])
    np.testing.assert_array_equal(cut_patch(array, (5, 5), (2, 2), outside=-9), [[-9, -9]] * 2)


def test_a_patch_does_not_share_memory_with_its_volume() -> None:
    array = np.zeros((4, 4, 4, 1), np.float32)
    patch = cut_patch(array, (1, 1, 1), (2, 2, 2))
    patch[:] = 5
    assert not array.any()
    assert patch.shape == (2, 2, 2, 1)


@pytest.mark.parametrize("seed", range(10))
def test_drawn_patches_lie_inside_where_they_fit(seed: int) -> None:
    row, column = draw_corner((9, 3), (4, 5), np.random.default_rng(seed))
    assert 0 <= row <= 5
    assert column == -1


def test_a_rare_class_is_in_the_centre_as_often_as_a_common_one() -> None:
    labels = np.zeros((20, 20, 20), np.uint8)
    labels[10, 10, 10] = 2
    labels[:, :, 15:] = 1
    rng = np.random.default_rng(3)
    centres = [
        labels[tuple(first + 1 for first in draw_balanced_corner(labels, (3, 3, 3), rng))] for _ in range(900)
    ]
    shares = np.bincount(centres, minlength=3) / 900
    np.testing.assert_allclose(shares, 1 / 3, atol=0.06)


def test_a_patch_at_the_edge_is_moved_inside_and_still_shows_its_voxel() -> None:
    mask = np.zeros((6, 6), np.bool_)
    mask[0, 5] = True
    assert draw_corner_on(mask, (3, 3), np.random.default_rng(0)) == (0, 3)


def test_voxels_and_labels_come_from_the_same_place() -> None:
    labels = np.random.default_rng(1).integers(0, 3, (8, 9, 10))
    voxels = (labels * 10).astype(np.float32)[..., np.newaxis]
    patches, marks = draw_balanced_patches(voxels, labels, (4, 4, 4), 5, np.random.default_rng(2))
    assert patches.shape == (5, 4, 4, 4, 1)
    np.testing.assert_array_equal(patches[..., 0], marks * 10)
