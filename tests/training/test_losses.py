"""Loss and scores against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from node.training import losses
from node.training.samples import IGNORED
from node.training.scores import score

# Four true pixels; the network finds three of them and two others; the last row is ignored.
TRUTH = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [IGNORED] * 4], np.float32)
FOUND = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 1, 0]], np.float32)
BY_HAND = {"dice": 6 / 9, "iou": 3 / 6, "recall": 3 / 4, "precision": 3 / 5}


def batch(*pictures: np.ndarray) -> np.ndarray:
    return np.stack(pictures)[..., np.newaxis]


@pytest.mark.parametrize(("name", "expected"), BY_HAND.items())
def test_a_score_in_training_and_in_evaluation_is_the_one_worked_out_by_hand(name: str, expected: float) -> None:
    in_training = np.asarray(getattr(losses, name)(batch(TRUTH), batch(0.2 + 0.6 * FOUND)))
    np.testing.assert_allclose(in_training, [expected], rtol=1e-6)
    assert getattr(score(TRUTH, FOUND > 0.5), name) == pytest.approx(expected)


def test_the_loss_is_the_soft_dice_worked_out_by_hand() -> None:
    probability = np.array([[0.9, 0.8, 0.7, 0.4], [0.3, 0.1, 0.0, 0.0], [1, 1, 1, 1]], np.float32)
    expected = 1 - (2 * 2.8 + 1) / (4 + 3.2 + 1)
    np.testing.assert_allclose(np.asarray(losses.dice_loss(batch(TRUTH), batch(probability))), [expected], rtol=1e-5)


def test_the_loss_with_cross_entropy_is_the_one_worked_out_by_hand() -> None:
    probability = np.array([[0.9, 0.8, 0.7, 0.4], [0.3, 0.1, 0.0, 0.0], [1, 1, 1, 1]], np.float32)
    surprise = -np.log([0.9, 0.8, 0.7, 0.4, 0.7, 0.9, 1.0, 1.0]).mean()
    expected = 1 - (2 * 2.8 + 1) / (4 + 3.2 + 1) + surprise
    found = np.asarray(losses.dice_and_cross_entropy(batch(TRUTH), batch(probability)))
    np.testing.assert_allclose(found, [expected], rtol=1e-5)


def test_each_picture_of_a_batch_has_its_own_loss() -> None:
    right = np.clip(TRUTH, 0, 1)
    two = np.asarray(losses.dice_loss(batch(TRUTH, TRUTH), batch(right, 1 - right)))
    np.testing.assert_allclose(two, [0.0, 1 - 1 / 9], atol=1e-6)


def test_what_is_found_on_ignored_pixels_changes_nothing() -> None:
    other = FOUND.copy()
    other[2] = 1 - other[2]
    assert score(TRUTH, FOUND > 0.5) == score(TRUTH, other > 0.5)
    np.testing.assert_array_equal(
        np.asarray(losses.dice_loss(batch(TRUTH), batch(FOUND))),
        np.asarray(losses.dice_loss(batch(TRUTH), batch(other))),
    )


def test_nothing_found_where_there_is_nothing_is_full_agreement() -> None:
    nothing = np.zeros((3, 4), np.float32)
    assert score(nothing, nothing > 0.5).dice == 1.0
    assert float(losses.dice(batch(nothing), batch(nothing))[0]) == 1.0
