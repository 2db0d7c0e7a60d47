"""The loss and the scores that Keras follows while it trains on masks; ignored pixels do not count."""

from __future__ import annotations

from keras import KerasTensor, ops

PROBABILITY = 0.5
SMOOTH = 1.0
CERTAIN = 1e-6


def dice_loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return one minus the soft Dice coefficient of each picture, shape (batch,).

    Milletari F et al.: V-Net, 3DV 2016. Both arguments are (batch, rows, columns, 1); the truth is
    1, 0, or negative where a pixel is ignored.
    """
    truth, probability = _counted(truth, probability)
    overlap = _sum(truth * probability)
    return 1.0 - (2.0 * overlap + SMOOTH) / (_sum(truth) + _sum(probability) + SMOOTH)


def dice_and_cross_entropy(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return `dice_loss` plus the mean cross-entropy of the pixels of each picture, shape (batch,).

    The Dice loss alone hardly falls where a picture without the structure still has some found in
    it; cross-entropy does.
    """
    counts = ops.cast(truth >= 0, "float32")
    true = ops.cast(truth, "float32") * counts
    sure = ops.clip(probability, CERTAIN, 1.0 - CERTAIN)
    surprise = -(true * ops.log(sure) + (1.0 - true) * ops.log(1.0 - sure)) * counts
    return dice_loss(truth, probability) + _sum(surprise) / ops.maximum(_sum(counts), 1.0)


def dice(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return twice the common area over the sum of both areas, per picture."""
    common, true, found = _areas(truth, probability)
    return _ratio(2.0 * common, true + found)


def iou(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the common area over the joined area, per picture."""
    common, true, found = _areas(truth, probability)
    return _ratio(common, true + found - common)


def recall(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the share of the true area that was found, per picture."""
    common, true, _ = _areas(truth, probability)
    return _ratio(common, true)


def precision(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the share of the area found that is true, per picture."""
    common, _, found = _areas(truth, probability)
    return _ratio(common, found)


def _areas(
    truth: KerasTensor, probability: KerasTensor
) -> tuple[KerasTensor, KerasTensor, KerasTensor]:
    """Return the common, the true and the found area of each picture in pixels."""
    truth, probability = _counted(truth, probability)
    found = ops.cast(probability > PROBABILITY, "float32")
    return _sum(truth * found), _sum(truth), _sum(found)


def _counted(truth: KerasTensor, probability: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """Set both to zero where the truth is ignored, so that the pixel enters no sum."""
    counts = ops.cast(truth >= 0, "float32")
    return ops.cast(truth, "float32") * counts, probability * counts


def _sum(values: KerasTensor) -> KerasTensor:
    return ops.sum(values, axis=(1, 2, 3))


def _ratio(part: KerasTensor, whole: KerasTensor) -> KerasTensor:
    """Divide; nothing out of nothing is all of it."""
    return ops.where(whole > 0, part / ops.maximum(whole, 1.0), 1.0)
