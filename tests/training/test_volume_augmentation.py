"""Variations of a labelled volume."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.training.volume_augmentation import VolumeAugmentation, augment_volume, move_volume, vary_values

STILL = VolumeAugmentation(
    rotation_degrees=0.0, scale=0.0, shift=0.0, bend=0.0, bias=0.0, contrast=0.0, offset=0.0, noise=0.0
)
ONLY_MOVED = VolumeAugmentation(flips=(True, True, True), bias=0.0, contrast=0.0, offset=0.0, noise=0.0)


def labelled_block() -> tuple[np.ndarray, np.ndarray]:
    """Return two channels of a bright block that the labels mark exactly, not symmetric in any way."""
    labels = np.zeros((24, 28, 32), np.uint8)
    labels[6:16, 5:20, 8:22] = 1
    labels[14:18, 15:20, 8:12] = 2
    values = labels.astype(np.float32)
    return np.stack([values, 10 * values], axis=-1), labels


@pytest.mark.parametrize("seed", range(6))
def test_voxels_labels_and_channels_move_together(seed: int) -> None:
    voxels, labels = labelled_block()
    moved, moved_labels = augment_volume(voxels, labels, ONLY_MOVED, np.random.default_rng(seed))
    bright = moved[..., 0] > 0.5
    assert 2 * (bright & (moved_labels > 0)).sum() / (bright.sum() + (moved_labels > 0).sum()) > 0.95
    assert ((moved_labels > 0) != (labels > 0)).mean() > 0.01
    np.testing.assert_allclose(moved[..., 1], 10 * moved[..., 0], rtol=1e-4, atol=1e-4)
    assert moved_labels.dtype == np.uint8
    assert set(np.unique(moved_labels)) <= {0, 1, 2}


def test_without_any_effect_nothing_changes() -> None:
    voxels, labels = labelled_block()
    same, same_labels = augment_volume(voxels, labels, STILL, np.random.default_rng(1))
    np.testing.assert_allclose(same, voxels, atol=1e-5)
    np.testing.assert_array_equal(same_labels, labels)


def test_only_the_axes_that_may_be_mirrored_are() -> None:
    voxels, labels = labelled_block()
    limits = replace(STILL, flips=(False, False, True))
    seen = set()
    for seed in range(8):
        moved, moved_labels = move_volume(voxels, labels, limits, np.random.default_rng(seed))
        is_same = np.array_equal(moved_labels, labels)
        assert is_same or np.array_equal(moved_labels, labels[:, :, ::-1])
        np.testing.assert_allclose(moved, voxels if is_same else voxels[:, :, ::-1], atol=1e-5)
        seen.add(is_same)
    assert seen == {True, False}


def test_a_coil_and_a_contrast_leave_air_black_and_channels_differ() -> None:
    voxels, _ = labelled_block()
    limits = replace(STILL, black=-3.0, bias=0.3, contrast=0.2)
    varied = vary_values(voxels - 3.0, limits, np.random.default_rng(2))
    np.testing.assert_allclose(varied[voxels == 0], -3.0)
    ratio = (varied + 3.0)[voxels > 0] / voxels[voxels > 0]
    assert ratio.std() > 0.02
    assert abs(ratio[::2].mean() - ratio[1::2].mean()) > 0.001


def test_noise_and_offset_have_the_size_asked_for() -> None:
    flat = np.zeros((20, 20, 20, 1), np.float32)
    limits = replace(STILL, noise=0.1, offset=0.5)
    drawn = [vary_values(flat, limits, np.random.default_rng(seed)) for seed in range(60)]
    assert np.std([volume.mean() for volume in drawn]) == pytest.approx(0.5, rel=0.35)
    assert np.sqrt(np.mean([volume.var() for volume in drawn])) == pytest.approx(0.1, rel=0.35)


def test_the_same_seed_gives_the_same_variation() -> None:
    voxels, labels = labelled_block()
    limits = VolumeAugmentation()
    one, other = (augment_volume(voxels, labels, limits, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    np.testing.assert_array_equal(one[1], other[1])
