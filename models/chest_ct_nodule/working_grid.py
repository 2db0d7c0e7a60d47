"""Brings a CT series to the grid the network works on: along the patient's axes, 1.5 mm, around the lungs."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused, UnevenSlices
from node.imaging.regrid import resample_volume
from node.imaging.volume import Grid, Unit, Volume
from node.vocabulary import Mask

FINE_MM = 1.5
COARSE_MM = 3.0
WIDEST_STEP_MM = 5.0
STEP_TOLERANCE_MM = 0.05

# The network sees cubes of this many voxels, 72 mm, which begin this far apart.
WINDOW = 48
STRIDE = 32
MARGIN_MM = 9.0


def check_series(volume: Volume) -> None:
    """Raise StudyRefused unless voxels are in HU and no further apart than nodules are wide."""
    if volume.unit is not Unit.HOUNSFIELD:
        raise StudyRefused(
            f"the voxels are in {volume.unit.value} units; nodules are found by Hounsfield units; "
            "send a CT series whose rescale type is HU"
        )
    widest = max(volume.grid.spacing_mm)
    if widest > WIDEST_STEP_MM + STEP_TOLERANCE_MM:
        raise UnevenSlices(
            f"voxels lie {widest:.2f} mm apart; a nodule can hide between voxels more than {WIDEST_STEP_MM:.0f} mm "
            "apart; send the thinnest reconstruction of the chest"
        )


def coarse_grid(grid: Grid) -> Grid:
    """Return a grid over everything that `grid` covers, along the patient's axes, 3 mm apart."""
    corners = np.array([grid.position_mm(corner) for corner in _corners(grid.shape)])
    return grid_between(corners.min(axis=0), corners.max(axis=0), COARSE_MM)


def fine_grid(region: Mask, coarse: Grid) -> Grid:
    """Return the network's grid: a box around `region`, a mask on `coarse`, that whole windows fill."""
    found = np.argwhere(region)
    low = coarse.position_mm(tuple(found.min(axis=0) - 0.5)) - MARGIN_MM
    high = coarse.position_mm(tuple(found.max(axis=0) + 0.5)) + MARGIN_MM
    counts = [whole_windows((end - start) / FINE_MM) for start, end in zip(low, high, strict=True)]
    half = np.array(counts) * FINE_MM / 2
    middle = (low + high) / 2
    return grid_between(middle - half, middle + half, FINE_MM)


def whole_windows(voxels: float) -> int:
    """Return the least number of voxels, at least this many, that windows fill without a rest."""
    return WINDOW + STRIDE * max(0, math.ceil((voxels - WINDOW) / STRIDE - 1e-6))


def grid_between(low_mm: NDArray[np.float64], high_mm: NDArray[np.float64], step_mm: float) -> Grid:
    """Return a grid along the patient's axes whose outer faces lie at the (x, y, z) corners given, or just beyond."""
    counts = np.maximum(1, np.ceil((high_mm - low_mm) / step_mm - 1e-6)).astype(int)
    first = (low_mm + high_mm) / 2 - (counts - 1) * step_mm / 2
    steps = ((0.0, 0.0, step_mm), (0.0, step_mm, 0.0), (step_mm, 0.0, 0.0))
    return Grid((int(counts[2]), int(counts[1]), int(counts[0])), tuple(first.tolist()), steps)


def on_grid(volume: Volume, grid: Grid) -> NDArray[np.float32]:
    """Return the HU of `volume` at the voxels of `grid`, averaged over about what one of them covers."""
    step = min(grid.spacing_mm)
    factors = [max(1, math.floor(step / spacing + 0.1)) for spacing in volume.grid.spacing_mm]
    averaged = average_blocks(volume, (factors[0], factors[1], factors[2]))
    return np.asarray(resample_volume(averaged, grid).voxels, np.float32)


def average_blocks(volume: Volume, factors: tuple[int, int, int]) -> Volume:
    """Return the means of blocks of `factors` (slices, rows, columns) voxels; an incomplete last block is left out."""
    sides = [min(factor, count) for factor, count in zip(factors, volume.grid.shape, strict=True)]
    counts = [count // side for count, side in zip(volume.grid.shape, sides, strict=True)]
    used = tuple(slice(0, count * side) for count, side in zip(counts, sides, strict=True))
    blocks = tuple(number for pair in zip(counts, sides, strict=True) for number in pair)
    voxels = volume.voxels[used].reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32)
    padding = np.asarray(volume.padding[used].reshape(blocks).all(axis=(1, 3, 5)))
    first = (np.array(sides) - 1) / 2
    origin = volume.grid.position_mm((float(first[0]), float(first[1]), float(first[2])))
    steps = np.array(volume.grid.steps_mm) * np.array(sides)[:, np.newaxis]
    grid = Grid((counts[0], counts[1], counts[2]), tuple(origin.tolist()), tuple(tuple(row) for row in steps.tolist()))
    return replace(volume, voxels=voxels, padding=padding, grid=grid, sources=())


def _corners(shape: tuple[int, int, int]) -> list[tuple[float, float, float]]:
    """Return the indices of the eight outer corners of a grid."""
    ends = [(-0.5, count - 0.5) for count in shape]
    return [(a, b, c) for a in ends[0] for b in ends[1] for c in ends[2]]
