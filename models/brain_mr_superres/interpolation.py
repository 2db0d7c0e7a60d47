"""Cubic B-splines and straight lines between voxels, one axis after the other: exact, and quick for any size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Pixels

Weights = NDArray[np.float32]
Positions = NDArray[np.float64]


def finer_positions(count: int, factor: int) -> Positions:
    """Return where the voxels of a grid finer by `factor` over the same box lie, in voxels of the coarse one."""
    return (np.arange(count * factor) + 0.5) / factor - 0.5


def spline_weights(count: int, positions: Positions) -> Weights:
    """Return the (positions, count) weights of cubic B-spline interpolation between `count` samples.

    The curve goes through the samples and is mirrored at the first and last (Unser M et al., IEEE Trans.
    Signal Process. 41, 1993). It is what SimpleITK's sitkBSpline computes, axis by axis.
    """
    at_samples = _basis(count, np.arange(count, dtype=np.float64))
    return np.asarray(_basis(count, positions) @ np.linalg.inv(at_samples), np.float32)


def linear_weights(count: int, positions: Positions) -> Weights:
    """Return the (positions, count) weights of linear interpolation; beyond the ends the last value holds."""
    inside = np.clip(positions, 0, count - 1)
    distances = np.abs(np.arange(count)[np.newaxis] - inside[:, np.newaxis])
    return np.asarray(np.clip(1.0 - distances, 0.0, None), np.float32)


def apply_weights(voxels: Pixels, weights: Sequence[Weights | None]) -> Pixels:
    """Apply one (new, old) matrix along each axis of a volume; None leaves an axis as it is."""
    for axis, matrix in enumerate(weights):
        if matrix is not None:
            voxels = np.moveaxis(np.tensordot(matrix, voxels, (1, axis)), 0, axis)
    return np.ascontiguousarray(voxels, np.float32)


def upsample(voxels: Pixels, factors: tuple[int, int, int]) -> Pixels:
    """Return the volume on the grid finer by `factors` (slices, rows, columns), by cubic B-splines."""
    return apply_weights(
        voxels,
        [
            None if factor == 1 else spline_weights(count, finer_positions(count, factor))
            for count, factor in zip(voxels.shape, factors, strict=True)
        ],
    )


def _basis(count: int, positions: Positions) -> Positions:
    """Return the value of each of `count` cubic B-splines at each position, mirrored at both ends."""
    values = np.zeros((len(positions), count))
    nearest = np.floor(positions).astype(int)
    for offset in range(-1, 3):
        distance = np.abs(positions - (nearest + offset))
        inner = 2.0 / 3.0 - distance**2 + distance**3 / 2.0
        outer = np.clip(2.0 - distance, 0.0, None) ** 3 / 6.0
        np.add.at(
            values,
            (np.arange(len(positions)), _mirrored(nearest + offset, count)),
            np.where(distance < 1.0, inner, outer),
        )
    return values


def _mirrored(indices: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    if count == 1:
        return np.zeros_like(indices)
    period = 2 * (count - 1)
    folded = np.abs(indices) % period
    return np.where(folded < count, folded, period - folded)
