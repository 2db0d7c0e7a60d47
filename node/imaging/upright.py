"""Brings a volume to cubic voxels in the order of the patient's axes, and classes found there back to its series."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.imaging.regrid import resample_volume
from node.imaging.smoothing import blur_along
from node.imaging.volume import Grid, Volume, grid_with_spacing
from node.vocabulary import Pixels

# Deviation of the Gaussian, in steps, that stands for the mean over a voxel when the grid is made coarser.
SIGMA_STEPS = 0.4


@dataclass(frozen=True)
class Turn:
    """How to order the axes of a series: `axes[k]` is its axis that becomes axis k, reversed if `flips[k]`.

    Slices then run from feet to head, rows from front to back and columns from right to left. Axes are exchanged
    and reversed, never rotated, so nothing is interpolated.
    """

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return the (slices, rows, columns, …) array in the patient's order."""
        turned = voxels.transpose(*self.axes, *range(3, voxels.ndim))
        return np.ascontiguousarray(np.flip(turned, self._reversed))

    def undo(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return an array in the patient's order as the series has it."""
        back = np.argsort(self.axes)
        return np.ascontiguousarray(np.flip(voxels, self._reversed).transpose(*back, *range(3, voxels.ndim)))

    def apply_to_grid(self, grid: Grid) -> Grid:
        """Return the grid whose voxels `apply` orders."""
        steps = np.array(grid.steps_mm)[list(self.axes)] * np.where(self.flips, -1.0, 1.0)[:, np.newaxis]
        first = np.zeros(3)
        for axis in np.array(self.axes)[list(self._reversed)]:
            first[axis] = grid.shape[axis] - 1
        x, y, z = (float(value) for value in grid.position_mm((first[0], first[1], first[2])))
        shape = tuple(grid.shape[axis] for axis in self.axes)
        steps_mm = tuple((float(dx), float(dy), float(dz)) for dx, dy, dz in steps)
        return Grid((shape[0], shape[1], shape[2]), (x, y, z), steps_mm)

    @cached_property
    def _reversed(self) -> tuple[int, ...]:
        return tuple(axis for axis in range(3) if self.flips[axis])


def turn_upright(grid: Grid) -> Turn:
    """Return the turn that brings each axis of the grid to the axis of the patient that it is nearest to."""
    units = np.array(grid.steps_mm) / np.array(grid.spacing_mm)[:, np.newaxis]
    orders = [(a, b, 3 - a - b) for a in range(3) for b in range(3) if a != b]
    axes = max(orders, key=lambda order: sum(abs(units[order[k], 2 - k]) for k in range(3)))
    flips = tuple(bool(units[axes[k], 2 - k] < 0) for k in range(3))
    return Turn(axes, (flips[0], flips[1], flips[2]))


def resample_upright(volume: Volume, step_mm: float) -> Volume:
    """Return the volume upright, with cubic voxels along its own axes: finer ones averaged, coarser interpolated."""
    turn = turn_upright(volume.grid)
    grid = turn.apply_to_grid(volume.grid)
    voxels = turn.apply(volume.voxels).astype(np.float32)
    for axis, spacing in enumerate(grid.spacing_mm):
        width = math.sqrt(max(0.0, (step_mm / spacing) ** 2 - 1.0))
        voxels = blur_along(voxels, axis, SIGMA_STEPS * width)
    upright = replace(volume, voxels=voxels, padding=turn.apply(volume.padding), grid=grid, sources=())
    return resample_volume(upright, grid_with_spacing(grid, (step_mm, step_mm, step_mm)))


def back_to_series(probability: Pixels, upright_grid: Grid, series_grid: Grid) -> NDArray[np.uint8]:
    """Return the most probable class of each voxel of the series.

    `probability` is (slices, rows, columns, classes) on the grid that `resample_upright` gave for the series. It is
    interpolated linearly between voxel centres; the outermost voxels reach to the edge.
    """
    turn = turn_upright(series_grid)
    upright = turn.apply_to_grid(series_grid)
    places = _places(upright, upright_grid)
    best = np.full(upright.shape, -1.0, np.float32)
    classes = np.zeros(upright.shape, np.uint8)
    for number in range(probability.shape[-1]):
        values = probability[..., number]
        for axis in range(3):
            values = _interpolate(values, axis, places[axis])
        classes[values > best] = number
        np.maximum(best, values, out=best)
    return turn.undo(classes)


def _places(grid: Grid, other: Grid) -> list[NDArray[np.float64]]:
    """Return where the voxels of a grid lie along each axis of another with the same axes, as fractions of an index."""
    first = other.index_of(np.array(grid.origin_mm))
    ratios = np.array(grid.spacing_mm) / np.array(other.spacing_mm)
    return [first[axis] + np.arange(grid.shape[axis]) * ratios[axis] for axis in range(3)]


def _interpolate(values: Pixels, axis: int, places: NDArray[np.float64]) -> Pixels:
    last = values.shape[axis] - 1
    places = np.clip(places, 0, last)
    below = np.minimum(np.floor(places).astype(int), max(0, last - 1))
    share = (places - below).astype(np.float32).reshape([-1 if other == axis else 1 for other in range(3)])
    above = np.minimum(below + 1, last)
    return np.asarray(values.take(below, axis) * (1 - share) + values.take(above, axis) * share, np.float32)
