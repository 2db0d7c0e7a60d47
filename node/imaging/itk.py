"""Volumes as SimpleITK images and back: both are in mm, LPS, so only the order of axes turns round."""

from __future__ import annotations

from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.volume import Grid


def to_image(voxels: NDArray[Any], grid: Grid) -> SimpleITK.Image:
    """Return (slices, rows, columns) voxels as an image with axes x, y, z for columns, rows, slices."""
    image = SimpleITK.GetImageFromArray(voxels)
    slices, rows, columns = grid.spacing_mm
    image.SetSpacing((columns, rows, slices))
    image.SetOrigin(grid.origin_mm)
    image.SetDirection(direction_of(grid))
    return image


def direction_of(grid: Grid) -> tuple[float, ...]:
    """Return SimpleITK's direction: a (3, 3) matrix, row by row, whose columns are the axes x, y, z."""
    steps = np.array(grid.steps_mm)
    units = steps / np.linalg.norm(steps, axis=1, keepdims=True)
    return tuple(float(number) for number in units[::-1].T.ravel())


def grid_of(image: SimpleITK.Image) -> Grid:
    """Return the grid of a three-dimensional image."""
    directions = np.array(image.GetDirection()).reshape(3, 3)
    steps = (directions * np.array(image.GetSpacing())).T[::-1]
    columns, rows, slices = image.GetSize()
    x, y, z = image.GetOrigin()
    return Grid(
        shape=(slices, rows, columns),
        origin_mm=(x, y, z),
        steps_mm=tuple((float(step[0]), float(step[1]), float(step[2])) for step in steps),
    )
