"""Pictures of classes are varied anew each time, the same for the same seed."""

from __future__ import annotations

import numpy as np

from node.training.batches import Dealing
from node.training.class_batches import ClassPictures, Variation, VariedClasses, shrink, vary

STILL = Variation(
    flips=False, rotation_degrees=0, scale=0, stretch=0, shift=0, gamma=0, contrast=0, noise=0, blur_pixels=0.3,
    erased=0, mixed=0,
)


def known(count: int = 12) -> ClassPictures:
    pictures = np.random.default_rng(1).uniform(0.2, 0.8, (count, 16, 20, 1)).astype(np.float32)
    return ClassPictures(pictures, np.arange(count) % 3, 3)


def test_a_resumed_epoch_sees_the_same_pictures_and_another_epoch_others() -> None:
    batches = [VariedClasses(known(), Variation(), Dealing(4, 1, 7)) for _ in range(2)]
    for one in batches:
        one.epoch = 5
    np.testing.assert_array_equal(batches[0][1][0], batches[1][1][0])
    batches[1].epoch = 6
    assert not np.array_equal(batches[0][1][0], batches[1][1][0])


def test_an_epoch_shows_every_picture_as_often_as_asked() -> None:
    batches = VariedClasses(known(), STILL, Dealing(4, 2, 7))
    targets = np.concatenate([batches[number][1] for number in range(len(batches))])
    np.testing.assert_array_equal(targets.sum(axis=0), [8, 8, 8])


def test_mixed_pictures_have_shares_of_classes_that_sum_to_one() -> None:
    batches = VariedClasses(known(), Variation(mixed=1.0), Dealing(12, 1, 7))
    targets = batches[0][1]
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)
    assert ((targets > 0) & (targets < 1)).any()


def test_varied_pictures_stay_in_their_range_and_shape() -> None:
    for seed in range(20):
        varied = vary(known().pictures[seed % 12], Variation(), np.random.default_rng(seed))
        assert (varied.shape, varied.dtype) == ((16, 20, 1), np.float32)
        assert varied.min() >= 0
        assert varied.max() <= 1


def test_mirrored_pictures_are_the_picture_turned_round() -> None:
    picture = np.zeros((16, 20, 1), np.float32)
    picture[:, :10] = 0.5
    sides = {float(vary(picture, Variation(
        rotation_degrees=0, scale=0, stretch=0, shift=0, gamma=0, contrast=0, noise=0, blur_pixels=0.3, erased=0
    ), np.random.default_rng(seed))[8, 2, 0]) for seed in range(12)}
    assert {round(side, 1) for side in sides} == {0.0, 0.5}


def test_shrunk_pictures_keep_their_mean() -> None:
    small = shrink(known(), 8)
    assert small.pictures.shape == (12, 8, 8, 1)
    np.testing.assert_allclose(small.pictures.mean(), known().pictures.mean(), atol=0.01)
