"""Averages voxels before they are seen on a coarser grid."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.volume import Grid

Field = NDArray[np.float32]


def average_blocks(voxels: NDArray[np.int16] | Field, grid: Grid, factors: tuple[int, int, int]) -> tuple[Field, Grid]:
    """Return the means of blocks of `factors` (slices, rows, columns) voxels, and the grid they lie on.

    Blocks that stick out at an end repeat the last voxel.
    """
    missing = [-count % factor for count, factor in zip(voxels.shape, factors, strict=True)]
    image = SimpleITK.GetImageFromArray(voxels)
    if any(missing):
        image = SimpleITK.ZeroFluxNeumannPad(image, [0, 0, 0], missing[::-1])
    if max(factors) > 1:
        image = SimpleITK.BinShrink(image, list(reversed(factors)))
    means = np.asarray(SimpleITK.GetArrayFromImage(image), np.float32)
    steps = np.array(grid.steps_mm) * np.array(factors)[:, np.newaxis]
    half = (np.array(factors) - 1) / 2
    origin = grid.position_mm((float(half[0]), float(half[1]), float(half[2])))
    shape = (int(means.shape[0]), int(means.shape[1]), int(means.shape[2]))
    return means, Grid(shape, tuple(origin.tolist()), tuple(tuple(step) for step in steps.tolist()))
