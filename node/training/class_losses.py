"""Losses for networks that give every picture, or every voxel, a probability for each of several classes.

Truth and probability are (batch, …, classes), the truth one-hot or a mixture; a voxel whose truth sums to
zero is ignored. All return one number for each entry of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keras import KerasTensor, ops

Loss = Callable[[KerasTensor, KerasTensor], KerasTensor]

SMOOTH = 1.0
CERTAIN = 1e-6


def soft_dice_loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return one minus the mean soft Dice coefficient of all classes but the first, which is the background.

    Milletari F et al.: V-Net, 3DV 2016, for several classes.
    """
    truth, probability = _counted(truth, probability)
    places = tuple(range(1, len(truth.shape) - 1))
    common = ops.sum(truth * probability, axis=places)
    both = ops.sum(truth, axis=places) + ops.sum(probability, axis=places)
    return 1.0 - ops.mean(((2.0 * common + SMOOTH) / (both + SMOOTH))[..., 1:], axis=-1)


def weighted_cross_entropy(weights: Sequence[float]) -> Loss:
    """Return the mean cross-entropy in which a voxel counts by the weight of its class.

    `class_weights` says which weights balance classes; equal weights give plain cross-entropy.
    """

    def loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
        return _mean_surprise(truth, probability, weights, 0.0)

    return loss


def focal_loss(focus: float = 2.0, weights: Sequence[float] | None = None) -> Loss:
    """Return cross-entropy in which what the network is sure of hardly counts.

    Lin TY et al.: Focal Loss for Dense Object Detection, ICCV 2017, equation 5: every voxel counts by
    one minus the probability of its class to the power of `focus`; 0 gives plain cross-entropy.
    """

    def loss(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
        return _mean_surprise(truth, probability, weights, focus)

    return loss


def soft_dice_and_cross_entropy(truth: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the sum of both losses: the overlap that is wanted, with gradients where there is none yet."""
    return soft_dice_loss(truth, probability) + _mean_surprise(truth, probability, None, 0.0)


def squared_error(truth: KerasTensor, value: KerasTensor) -> KerasTensor:
    """Return the mean squared difference, for quantities and for images: the L2 loss."""
    difference = ops.cast(truth, "float32") - ops.cast(value, "float32")
    return ops.mean(ops.square(difference), axis=tuple(range(1, len(difference.shape))))


def _mean_surprise(
    truth: KerasTensor, probability: KerasTensor, weights: Sequence[float] | None, focus: float
) -> KerasTensor:
    """Return the weighted mean over voxels of minus the logarithm of the probability of the true class."""
    truth, probability = _counted(truth, probability)
    sure = ops.clip(probability, CERTAIN, 1.0 - CERTAIN)
    surprise = -ops.log(sure) * truth
    if focus:
        surprise = surprise * (1.0 - sure) ** focus
    weighted = truth if weights is None else truth * ops.convert_to_tensor(weights, "float32")
    counted = surprise if weights is None else surprise * ops.convert_to_tensor(weights, "float32")
    axes = tuple(range(1, len(truth.shape)))
    return ops.sum(counted, axis=axes) / ops.maximum(ops.sum(weighted, axis=axes), CERTAIN)


def _counted(truth: KerasTensor, probability: KerasTensor) -> tuple[KerasTensor, KerasTensor]:
    """Return both as float32, with zero where the voxel is ignored."""
    truth, probability = ops.cast(truth, "float32"), ops.cast(probability, "float32")
    counts = ops.cast(ops.sum(truth, axis=-1, keepdims=True) > 0, "float32")
    return truth, probability * counts
