"""Losses and weights of several classes against numbers worked out by hand."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from node.errors import TrainingDataError
from node.training.class_losses import (
    focal_loss,
    soft_dice_and_cross_entropy,
    soft_dice_loss,
    squared_error,
    weighted_cross_entropy,
)
from node.training.class_weights import balanced_weights, median_frequency_weights

# Four voxels of three classes; the last voxel is ignored.
TRUTH = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]], np.float32)
GUESS = np.array([[[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.2, 0.4, 0.4], [0.1, 0.8, 0.1]]], np.float32)


def test_soft_dice_leaves_out_the_background_and_what_is_ignored() -> None:
    first = (2 * 0.6 + 1) / (1 + 1.2 + 1)
    second = (2 * 0.4 + 1) / (1 + 0.6 + 1)
    np.testing.assert_allclose(np.asarray(soft_dice_loss(TRUTH, GUESS)), [1 - (first + second) / 2], rtol=1e-5)


def test_cross_entropy_with_weights_is_the_one_worked_out_by_hand() -> None:
    expected = -(np.log(0.7) + 2 * np.log(0.6) + 5 * np.log(0.4)) / 8
    found = weighted_cross_entropy((1.0, 2.0, 5.0))(TRUTH, GUESS)
    np.testing.assert_allclose(np.asarray(found), [expected], rtol=1e-5)


def test_cross_entropy_with_equal_weights_is_that_of_keras() -> None:
    found = np.asarray(weighted_cross_entropy((1.0, 1.0, 1.0))(TRUTH[:, :3], GUESS[:, :3]))
    theirs = np.asarray(keras.losses.categorical_crossentropy(TRUTH[0, :3], GUESS[0, :3])).mean()
    np.testing.assert_allclose(found, [theirs], rtol=1e-5)


def test_focal_loss_counts_what_the_network_is_unsure_of() -> None:
    expected = -(0.3**2 * np.log(0.7) + 0.4**2 * np.log(0.6) + 0.6**2 * np.log(0.4)) / 3
    np.testing.assert_allclose(np.asarray(focal_loss(2.0)(TRUTH, GUESS)), [expected], rtol=1e-5)
    plain = weighted_cross_entropy((1.0, 1.0, 1.0))(TRUTH, GUESS)
    np.testing.assert_allclose(np.asarray(focal_loss(0.0)(TRUTH, GUESS)), np.asarray(plain), rtol=1e-6)


def test_the_sum_is_of_both_losses() -> None:
    plain = weighted_cross_entropy((1.0, 1.0, 1.0))(TRUTH, GUESS)
    expected = np.asarray(soft_dice_loss(TRUTH, GUESS)) + np.asarray(plain)
    np.testing.assert_allclose(np.asarray(soft_dice_and_cross_entropy(TRUTH, GUESS)), expected, rtol=1e-6)


@pytest.mark.parametrize(
    "loss", [soft_dice_loss, weighted_cross_entropy((1.0, 1.0, 1.0)), focal_loss(), soft_dice_and_cross_entropy]
)
def test_what_is_said_of_an_ignored_voxel_changes_nothing_and_every_entry_has_its_own_loss(loss) -> None:
    other = GUESS.copy()
    other[0, 3] = (0.9, 0.05, 0.05)
    np.testing.assert_array_equal(np.asarray(loss(TRUTH, other)), np.asarray(loss(TRUTH, GUESS)))
    both = loss(np.concatenate([TRUTH, TRUTH]), np.concatenate([GUESS, TRUTH]))
    assert both.shape == (2,)
    assert float(both[1]) < 1e-4 < float(both[0])


def test_squared_errors_are_means_over_everything_but_the_batch() -> None:
    truth, value = np.array([[1.0, 2.0], [0.0, 0.0]]), np.array([[2.0, 4.0], [0.0, 1.0]])
    np.testing.assert_allclose(np.asarray(squared_error(truth, value)), [2.5, 0.5])


def test_balanced_weights_make_every_class_count_the_same() -> None:
    labels = np.array([[0, 0, 0, 0], [0, 0, 1, 2]])
    weights = balanced_weights(labels, 3)
    np.testing.assert_allclose(weights * [6, 1, 1], 8 / 3)
    assert (weights[labels]).mean() == pytest.approx(1.0)


def test_median_frequency_counts_only_volumes_that_hold_a_class() -> None:
    volumes = [np.array([0, 0, 0, 1]), np.array([0, 0, 2, 2]), np.array([0, 0, 0, 0])]
    frequencies = np.array([9 / 12, 1 / 4, 2 / 4])
    np.testing.assert_allclose(median_frequency_weights(volumes, 3), 0.5 / frequencies)


def test_a_class_that_never_occurs_is_refused() -> None:
    with pytest.raises(TrainingDataError, match=r"no label \[1\]"):
        balanced_weights(np.array([0, 2]), 3)
