"""What training minimises and watches on cubes of lung; voxels whose truth is negative do not count."""

from __future__ import annotations

from keras import KerasTensor, ops

CERTAIN = 1e-6
SMOOTH = 1.0
# A window without a nodule weighs as if it had one of this many voxels, about 8 mm wide.
LEAST_VOXELS = 80.0
ALL = (1, 2, 3, 4)


def nodule_loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return soft Dice plus cross-entropy for each window, shape (batch,).

    Cross-entropy is summed and divided by the size of the nodules, not of the window, so that a small
    nodule counts as much as a large one (Dice: Milletari F et al., V-Net, 3DV 2016).
    """
    counts = ops.cast(truth >= 0, "float32")
    true = ops.cast(truth, "float32") * counts
    guess = ops.cast(probability, "float32")
    sure = ops.clip(guess, CERTAIN, 1.0 - CERTAIN)
    surprise = -(true * ops.log(sure) + (1.0 - true) * ops.log(1.0 - sure)) * counts
    size = ops.sum(true, ALL)
    overlap = ops.sum(true * guess, ALL)
    dice = (2.0 * overlap + SMOOTH) / (size + ops.sum(guess * counts, ALL) + SMOOTH)
    return 1.0 - dice + ops.sum(surprise, ALL) / (size + LEAST_VOXELS)


def overlap(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the Dice coefficient of each window; nothing found where there is nothing is 1, shape (batch,)."""
    counts = ops.cast(truth >= 0, "float32")
    true = ops.cast(truth, "float32") * counts
    found = ops.cast(probability > 0.5, "float32") * counts
    both = ops.sum(true, ALL) + ops.sum(found, ALL)
    return ops.where(both > 0, 2.0 * ops.sum(true * found, ALL) / ops.maximum(both, 1.0), 1.0)
