"""The same patient in a series stored another way: axes in another order, some of them reversed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from node.imaging.volume import Grid, Volume

Axes = tuple[int, int, int]


def turned(volume: Volume, axes: Axes, flips: tuple[int, ...]) -> Volume:
    """Return the volume with `flips` reversed and then `axes` in this order, every voxel where it was."""
    grid = volume.grid
    first = [grid.shape[axis] - 1 if axis in flips else 0 for axis in range(3)]
    signs = np.array([-1.0 if axis in flips else 1.0 for axis in range(3)])
    steps = (np.array(grid.steps_mm) * signs[:, np.newaxis])[list(axes)]
    voxels, padding = (turn_array(array, axes, flips) for array in (volume.voxels, volume.padding))
    origin = grid.position_mm((first[0], first[1], first[2]))
    other = Grid(voxels.shape, tuple(origin.tolist()), tuple(tuple(step) for step in steps.tolist()))
    return replace(volume, voxels=voxels, padding=padding, grid=other)


def turn_array(array: np.ndarray, axes: Axes, flips: tuple[int, ...]) -> np.ndarray:
    return np.ascontiguousarray(np.flip(array, flips).transpose(axes))
