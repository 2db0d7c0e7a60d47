"""Makes the coarse volume that a scanner with thicker slices or larger voxels would have given."""

from __future__ import annotations

import numpy as np

from node.imaging.volume import Voxels
from node.vocabulary import Pixels

from .interpolation import Weights, apply_weights

GAUSSIAN_FWHM = 2.3548  # full width at half maximum, in standard deviations


def coarsen(voxels: Pixels, factors: tuple[int, int, int], width: float = 1.0) -> Pixels:
    """Return the volume on a grid coarser by `factors` (slices, rows, columns) over the same box.

    Each coarse voxel is the mean under a Gaussian profile around its centre, whose full width at half maximum
    is `width` coarse voxels, as Greenspan H et al. (Magn. Reson. Imaging 20, 2002) model a slice: blur, then
    every n-th value. Each side must be a multiple of its factor.
    """
    return apply_weights(
        voxels,
        [
            None if factor == 1 else _profile(count, factor, width)
            for count, factor in zip(voxels.shape, factors, strict=True)
        ],
    )


def crop_to_multiple(voxels: Voxels, factors: tuple[int, int, int]) -> Pixels:
    """Return the volume without the last slices, rows and columns that fill no coarse voxel."""
    slices, rows, columns = (
        count - count % factor for count, factor in zip(voxels.shape, factors, strict=True)
    )
    return np.asarray(voxels[:slices, :rows, :columns], np.float32)


def _profile(count: int, factor: int, width: float) -> Weights:
    """Return the (coarse, fine) weights of one axis; every row sums to one."""
    centres = (np.arange(count // factor) + 0.5) * factor - 0.5
    deviation = width * factor / GAUSSIAN_FWHM
    weights = np.exp(-0.5 * ((np.arange(count)[np.newaxis] - centres[:, np.newaxis]) / deviation) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
