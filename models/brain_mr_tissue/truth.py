"""Which tissues a voxel may be, and the loss of a prediction that has to be one of them."""

from __future__ import annotations

from enum import IntFlag

import numpy as np
from keras import KerasTensor, ops
from numpy.typing import NDArray

from node.vocabulary import Pixels

Truth = NDArray[np.uint8]
SMOOTH = 1.0
CERTAIN = 1e-6


class May(IntFlag):
    """What a voxel may be; several where the label maps differ in what they call fluid, or do not say."""

    BACKGROUND = 1
    CSF = 2
    GREY = 4
    WHITE = 8
    BRAIN = CSF | GREY | WHITE
    OUTER_FLUID = BACKGROUND | CSF


CLASSES = (May.BACKGROUND, May.CSF, May.GREY, May.WHITE)


def as_channels(truth: Truth) -> Pixels:
    """Return (…, 4): 1 for each class that a voxel may be."""
    return np.stack([(truth & one) > 0 for one in CLASSES], axis=-1).astype(np.float32)


def tissue_loss(allowed: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the cross-entropy of "one of the allowed" plus one minus the mean soft Dice of three tissues, (batch,).

    Both arguments are (batch, slices, rows, columns, 4). Dice counts only voxels of which the class is certain.
    """
    sure = ops.clip(ops.sum(allowed * probability, axis=-1), CERTAIN, 1.0)
    surprise = ops.mean(-ops.log(sure), axis=(1, 2, 3))
    return surprise + 1.0 - ops.mean(_soft_dice(allowed, probability), axis=-1)


def tissue_dice(allowed: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return the mean Dice of CSF, grey and white matter over the voxels whose class is certain, (batch,)."""
    found = ops.one_hot(ops.argmax(probability, axis=-1), len(CLASSES), dtype=probability.dtype)
    return ops.mean(_soft_dice(allowed, found), axis=-1)


def _soft_dice(allowed: KerasTensor, probability: KerasTensor) -> KerasTensor:
    """Return (batch, 3): the soft Dice of each tissue."""
    certain = ops.cast(ops.sum(allowed, axis=-1, keepdims=True) == 1.0, probability.dtype)
    true = (allowed * certain)[..., 1:]
    found = (probability * certain)[..., 1:]
    axes = (1, 2, 3)
    return (2.0 * ops.sum(true * found, axis=axes) + SMOOTH) / (
        ops.sum(true, axis=axes) + ops.sum(found, axis=axes) + SMOOTH
    )
