"""Variations of a labelled picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from node.training.augmentation import Augmentation, augment
from node.training.batches import AugmentedBatches, Dealing, LabelledPictures
from node.training.samples import BACKGROUND, IGNORED, STRUCTURE, Truth
from node.vocabulary import Pixels

LIMITS = Augmentation(black=-1.0, white=1.0)
ONLY_MOVED = Augmentation(
    black=-1.0, white=1.0, gamma=0.0, contrast=0.0, shading=0.0, opacity=0.1, noise=0.0, blur_pixels=0.31
)


def labelled_square(side: int = 96) -> tuple[Pixels, Truth]:
    """Return a white area on black that the truth marks exactly, not symmetric in any way."""
    truth = np.full((side, side), BACKGROUND, np.float32)
    truth[20:70, 25:45] = STRUCTURE
    truth[50:70, 45:60] = STRUCTURE
    return (truth * 2.0 - 1.0)[..., np.newaxis], truth


@pytest.mark.parametrize("seed", range(8))
def test_picture_and_mask_move_together(seed: int) -> None:
    picture, truth = labelled_square()
    moved, moved_truth = augment(picture, truth, ONLY_MOVED, np.random.default_rng(seed))
    bright, marked = moved[..., 0] > 0.0, moved_truth == STRUCTURE
    assert 2 * np.logical_and(bright, marked).sum() / (bright.sum() + marked.sum()) > 0.95
    assert (marked != (truth == STRUCTURE)).mean() > 0.01


def test_a_moved_truth_has_no_values_in_between() -> None:
    picture, truth = labelled_square()
    truth[0:10] = IGNORED
    for seed in range(5):
        _, moved = augment(picture, truth, LIMITS, np.random.default_rng(seed))
        assert set(np.unique(moved)) <= {BACKGROUND, STRUCTURE, IGNORED}


def test_grey_values_stay_between_black_and_white() -> None:
    picture, truth = labelled_square()
    for seed in range(5):
        varied, _ = augment(picture, truth, LIMITS, np.random.default_rng(seed))
        assert varied.dtype == np.float32
        assert varied.shape == picture.shape
        assert varied.min() >= -1.0
        assert varied.max() <= 1.0


def test_neighbouring_slices_of_a_picture_move_together_and_alone_as_before() -> None:
    picture, truth = labelled_square()
    quiet = replace(LIMITS, noise=0.0)
    for seed in range(4):
        alone, moved = augment(picture, truth, quiet, np.random.default_rng(seed))
        three, moved_too = augment(np.repeat(picture, 3, axis=-1), truth, quiet, np.random.default_rng(seed))
        np.testing.assert_allclose(three, np.repeat(alone, 3, axis=-1), atol=1e-6)
        np.testing.assert_array_equal(moved, moved_too)


def batches(epoch: int, seed: int = 5) -> AugmentedBatches:
    picture, truth = labelled_square(32)
    pictures = np.stack([picture * factor for factor in (0.2, 0.6, 1.0)])
    labelled = LabelledPictures(pictures, np.stack([truth] * 3)[..., np.newaxis])
    dealt = AugmentedBatches(labelled, LIMITS, Dealing(batch_size=2, repeats=4, seed=seed))
    dealt.epoch = epoch
    return dealt


def test_one_epoch_shows_every_picture_as_often_as_asked() -> None:
    dealt = batches(epoch=0)
    assert len(dealt) == 6
    assert [len(dealt[number][0]) for number in range(len(dealt))] == [2] * 6


def test_a_resumed_epoch_is_dealt_as_it_would_have_been() -> None:
    np.testing.assert_array_equal(batches(epoch=3)[1][0], batches(epoch=3)[1][0])
    assert not np.array_equal(batches(epoch=3)[1][0], batches(epoch=4)[1][0])
    assert not np.array_equal(batches(epoch=3)[1][0], batches(epoch=3, seed=6)[1][0])
