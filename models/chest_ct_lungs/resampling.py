"""Carries voxels from one grid to another through their places in the patient."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.volume import Grid

Field = NDArray[np.float32]


def resample(voxels: Field, source: Grid, target: Grid, outside: float) -> Field:
    """Return `voxels` of the grid `source` interpolated linearly at the voxels of the grid `target`.

    Places that no source voxel surrounds get `outside`. Any two grids will do, turned, mirrored or
    sheared, because the way is followed in indices and not in the angles that an image may have.
    """
    way = np.linalg.inv(source.affine) @ target.affine
    to_source = SimpleITK.AffineTransform(3)
    # NumPy counts (slice, row, column), SimpleITK (column, row, slice).
    to_source.SetMatrix(way[2::-1, 2::-1].ravel().tolist())
    to_source.SetTranslation(way[2::-1, 3].tolist())
    size = [int(count) for count in reversed(target.shape)]
    moved = SimpleITK.Resample(
        SimpleITK.GetImageFromArray(voxels), size, to_source, SimpleITK.sitkLinear,
        [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0], float(outside),
        SimpleITK.sitkFloat32,
    )
    return np.asarray(SimpleITK.GetArrayFromImage(moved), np.float32)


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
