"""Brings a volume to another grid in the patient, and a mask made there back to the grid it came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.itk import direction_of, to_image
from node.imaging.volume import Grid, Volume, Voxels
from node.vocabulary import Mask

SAME_WITHIN_MM = 1e-6


class Interpolation(Enum):
    """How a value between voxels is found."""

    NEAREST = SimpleITK.sitkNearestNeighbor
    LINEAR = SimpleITK.sitkLinear
    BSPLINE = SimpleITK.sitkBSpline


@dataclass(frozen=True)
class Sampling:
    """How values are found for another grid: between voxels, outside all of them, and where.

    `way` leads from a place (x, y, z) of the new grid in mm to the place of the old one that is seen
    there; without it both grids lie in the same patient.
    """

    interpolation: Interpolation = Interpolation.LINEAR
    outside: float = 0.0
    way: SimpleITK.Transform | None = None


def resample_volume(volume: Volume, grid: Grid, interpolation: Interpolation = Interpolation.LINEAR) -> Volume:
    """Return the volume on another grid, in its own type and unit.

    Voxels outside the old grid are padding and hold the lowest value. The result comes from no slice,
    so `sources` is empty, unless the grid is the same.
    """
    if is_same_grid(volume.grid, grid):
        return volume
    lowest = float(volume.voxels.min())
    voxels = volume.voxels.astype(np.float32, copy=False)
    values = resample_values(voxels, volume.grid, grid, Sampling(interpolation, lowest))
    unseen = resample_values(volume.padding.astype(np.uint8), volume.grid, grid, Sampling(Interpolation.NEAREST, 1))
    padding = unseen.astype(np.bool_)
    values[padding] = lowest
    return Volume(_like(volume.voxels, values), grid, volume.unit, padding, (), volume.frame_of_reference_uid)


def resample_values(voxels: NDArray[Any], from_grid: Grid, to_grid: Grid, sampling: Sampling) -> NDArray[Any]:
    """Return values of one grid on another, in their own type; the grids may be turned, mirrored or sheared."""
    resampler = SimpleITK.ResampleImageFilter()
    slices, rows, columns = to_grid.shape
    slice_mm, row_mm, column_mm = to_grid.spacing_mm
    resampler.SetSize((columns, rows, slices))
    resampler.SetOutputSpacing((column_mm, row_mm, slice_mm))
    resampler.SetOutputOrigin(to_grid.origin_mm)
    resampler.SetOutputDirection(direction_of(to_grid))
    resampler.SetInterpolator(sampling.interpolation.value)
    resampler.SetDefaultPixelValue(sampling.outside)
    if sampling.way is not None:
        resampler.SetTransform(sampling.way)
    return np.asarray(SimpleITK.GetArrayFromImage(resampler.Execute(to_image(voxels, from_grid))))


def mask_to_grid(mask: Mask, from_grid: Grid, to_grid: Grid) -> Mask:
    """Return a mask of one grid on another; on the same grid it is returned as it is.

    A voxel belongs to the mask where linear interpolation between voxel centres gives at least a half;
    outside `from_grid` nothing does.
    """
    if is_same_grid(from_grid, to_grid):
        return mask.copy()
    share = resample_values(mask.astype(np.float32), from_grid, to_grid, Sampling())
    return np.asarray(share >= 0.5)


def is_same_grid(grid: Grid, other: Grid) -> bool:
    """Say whether two grids have the same voxels in the same places."""
    return grid.shape == other.shape and np.allclose(grid.affine, other.affine, 0, SAME_WITHIN_MM)


def _like(voxels: Voxels, values: NDArray[np.float32]) -> Voxels:
    """Return the values in the type of the voxels, rounded and kept within it."""
    if voxels.dtype == np.float32:
        return values
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(values), limits.min, limits.max).astype(np.int16)
