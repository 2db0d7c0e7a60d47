"""What the network sees of a CT series, and what its answer says about the lungs."""

from __future__ import annotations

import math

import numpy as np

from node.errors import PixelsRefused, StudyRefused
from node.imaging.regrid import Sampling, resample_values
from node.imaging.volume import Grid, Unit, Volume
from node.vocabulary import Interpretation, Pixels

from .averaging import Field, average_blocks
from .lungs import find_lungs

# The network looks at slices across the body, wherever the scanner put its axes: (z, y, x) in mm.
STEPS_MM = (4.0, 2.0, 2.0)
ROWS, COLUMNS = 160, 224
NEIGHBOURS = (-2, 0, 2)  # 8 mm below, the slice itself, 8 mm above

WINDOW_HU = (-1050.0, 250.0)
AIR_HU = -1000.0
BODY_HU = -300.0


def prepare(volume: Volume) -> Pixels:
    """Return (n, 160, 224, 3) in -1..1: one entry per 4 mm from feet to head, each with two neighbours.

    Rows run to the patient's back and columns to the left, 2 mm apart, around the middle of the
    body. Raises StudyRefused unless voxels are in HU, and PixelsRefused where there is no body.
    """
    return stack_neighbours(scale(on_network_grid(volume)))


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Name the lungs in an (n, 160, 224, 1) probability map, as masks on the grid of `volume`.

    Right and left follow from the affine. Where they cannot be told apart there is one region
    `lungs`, or none at all, and a remark says why.
    """
    grid = network_grid(volume)
    return find_lungs(np.asarray(prediction[..., 0], np.float32), grid, volume)


def on_network_grid(volume: Volume) -> Field:
    """Return HU at the voxels of `network_grid`, averaged over what a voxel covers."""
    _check_unit(volume)
    means, means_grid = average_blocks(volume.voxels, volume.grid, _block(volume.grid))
    return resample_values(means, means_grid, network_grid(volume), Sampling(outside=AIR_HU))


def network_grid(volume: Volume) -> Grid:
    """Return the grid of the network: along the patient's axes, as long as the series."""
    edges = np.array([volume.grid.position_mm(corner) for corner in _corners(volume.grid.shape)])
    low, high = float(edges[:, 2].min()), float(edges[:, 2].max())
    count = max(1, math.ceil((high - low) / STEPS_MM[0] - 1e-6))
    middle = _middle_of_body(volume)
    origin = (
        float(middle[0] - (COLUMNS - 1) / 2 * STEPS_MM[2]),
        float(middle[1] - (ROWS - 1) / 2 * STEPS_MM[1]),
        (low + high) / 2 - (count - 1) / 2 * STEPS_MM[0],
    )
    steps = ((0.0, 0.0, STEPS_MM[0]), (0.0, STEPS_MM[1], 0.0), (STEPS_MM[2], 0.0, 0.0))
    return Grid((count, ROWS, COLUMNS), origin, steps)


def scale(voxels_hu: Field) -> Field:
    """Map the window onto -1..1; values outside it are clipped."""
    low, high = WINDOW_HU
    return np.clip((voxels_hu - low) / (high - low) * 2.0 - 1.0, -1.0, 1.0).astype(np.float32)


def stack_neighbours(slices: Field) -> Pixels:
    """Return (n, rows, columns, 3): each slice with those beside it; the ends stand in for what is missing."""
    count = len(slices)
    return np.stack([slices[np.clip(np.arange(count) + by, 0, count - 1)] for by in NEIGHBOURS], axis=-1)


def _check_unit(volume: Volume) -> None:
    if volume.unit is not Unit.HOUNSFIELD:
        raise StudyRefused(
            f"the voxels are in {volume.unit.value} units; lungs are found by Hounsfield units; "
            "send a CT series whose rescale type is HU"
        )


def _block(grid: Grid) -> tuple[int, int, int]:
    """Return how many voxels along each axis fit into a voxel of the network."""
    steps = np.abs(np.array(grid.steps_mm))
    factors = []
    for step, spacing in zip(steps, grid.spacing_mm, strict=True):
        wanted = STEPS_MM[2 - int(step.argmax())]
        factors.append(max(1, math.floor(wanted / spacing + 1e-3)))
    return factors[0], factors[1], factors[2]


def _corners(shape: tuple[int, int, int]) -> list[tuple[float, float, float]]:
    """Return the indices of the eight outer corners of a grid."""
    ends = [(-0.5, count - 0.5) for count in shape]
    return [(a, b, c) for a in ends[0] for b in ends[1] for c in ends[2]]


def _middle_of_body(volume: Volume) -> tuple[float, float]:
    """Return the mean (x, y) in whole mm of all that is denser than fat and lung."""
    dense = volume.voxels > BODY_HU
    counts = [dense.sum(axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    total = counts[0].sum()
    if not total:
        raise PixelsRefused(f"no voxel is above {BODY_HU:.0f} HU, so there is no body; send a CT series of a chest")
    slices, rows, columns = (float(np.arange(count.size) @ count / total) for count in counts)
    x, y, _ = volume.grid.position_mm((slices, rows, columns))
    return float(round(x)), float(round(y))
