"""How alike two images of the same place are: error, signal to noise and structure."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask, Pixels

Field = NDArray[np.float64]

# Wang Z, Bovik AC, Sheikh HR, Simoncelli EP: Image Quality Assessment: From Error Visibility to Structural
# Similarity, IEEE Trans. Image Processing 13, 2004: a Gaussian of 11 pixels, and the two constants.
WINDOW = 11
WINDOW_DEVIATION = 1.5
K1, K2 = 0.01, 0.03


def mean_absolute_error(truth: Pixels, found: Pixels, where: Mask | None = None) -> float:
    """Return the mean absolute difference over `where`, or over everything."""
    return float(np.abs(_difference(truth, found, where)).mean())


def peak_signal_to_noise(truth: Pixels, found: Pixels, value_range: float, where: Mask | None = None) -> float:
    """Return 10 log10 of the squared `value_range` over the mean squared difference, in dB; infinity if alike."""
    mean_square = float((_difference(truth, found, where) ** 2).mean())
    return 10.0 * math.log10(value_range**2 / mean_square) if mean_square else math.inf


def structural_similarity(truth: Pixels, found: Pixels, value_range: float, where: Mask | None = None) -> float:
    """Return the mean structural similarity of two pictures or volumes, 1 where they are equal.

    Only voxels count whose window lies inside, of those the ones of `where` if given. Every axis must
    have at least 11 voxels.
    """
    x, y = truth.astype(np.float64), found.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variance_x = _window_mean(x * x) - mean_x**2
    variance_y = _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    c1, c2 = (K1 * value_range) ** 2, (K2 * value_range) ** 2
    similarity = ((2 * mean_x * mean_y + c1) * (2 * covariance + c2)) / (
        (mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2)
    )
    if where is None:
        return float(similarity.mean())
    margin = WINDOW // 2
    return float(similarity[where[(slice(margin, -margin),) * where.ndim]].mean())


def _difference(truth: Pixels, found: Pixels, where: Mask | None) -> Field:
    return _counted(truth, where) - _counted(found, where)


def _counted(values: Pixels, where: Mask | None) -> Field:
    return (values.ravel() if where is None else values[where]).astype(np.float64)


def _window_mean(values: Field) -> Field:
    """Return the Gaussian mean around every voxel whose window lies inside."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offsets**2) / (2 * WINDOW_DEVIATION**2))
    weights /= weights.sum()
    for axis in range(values.ndim):
        count = values.shape[axis] - WINDOW + 1
        values = np.asarray(
            sum(
                weight * np.take(values, np.arange(shift, shift + count), axis=axis)
                for shift, weight in enumerate(weights)
            )
        )
    return values
