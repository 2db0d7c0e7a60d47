"""What the network sees of a chest CT, and what its answer says about nodules."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.regrid import mask_to_grid
from node.imaging.sliding_window import SlidingWindow
from node.imaging.volume import Grid, Volume
from node.vocabulary import Interpretation, Mask, Pixels

from .candidates import find_candidates
from .lung_region import lung_region
from .report import describe_candidates
from .window import scale
from .working_grid import STRIDE, WINDOW, check_series, fine_grid, on_grid

WINDOWS = SlidingWindow((WINDOW, WINDOW, WINDOW), overlap=1.0 - STRIDE / WINDOW)
LARGEST_VOXELS = 60_000_000  # a box of 590 mm: no pair of lungs is larger


def prepare(volume: Volume) -> Pixels:
    """Return (n, 48, 48, 48, 1) in -1..1: cubes of 72 mm that overlap and together hold the lungs.

    They lie along the patient's axes, slices to the head, rows to the back, columns to the left. Raises
    StudyRefused unless voxels are in HU and at most 5 mm apart, and where no lungs are seen.
    """
    region, grid = search_region(volume)
    cubes = WINDOWS.cut(scale(on_grid(volume, grid))[..., np.newaxis], outside=-1.0)
    return cubes[_holding(region)]


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return nodule candidates, the most likely first, as masks on the voxels of `volume` with their scores."""
    region, grid = search_region(volume)
    probability = join(prediction, region)
    candidates = find_candidates(probability, region, grid)
    return describe_candidates(candidates, grid, volume)


def search_region(volume: Volume) -> tuple[Mask, Grid]:
    """Return where nodules are looked for as a mask on the network's grid, and that grid; raises as `prepare` does."""
    check_series(volume)
    coarse_region, coarse = lung_region(volume)
    grid = fine_grid(coarse_region, coarse)
    if np.prod(grid.shape) > LARGEST_VOXELS:
        size = " x ".join(f"{count * step:.0f}" for count, step in zip(grid.shape, grid.spacing_mm, strict=True))
        raise StudyRefused(
            f"what looks like lung lies in a box of {size} mm; expected that of one chest; send a CT series of a chest"
        )
    return mask_to_grid(coarse_region, coarse, grid), grid


def join(prediction: Pixels, region: Mask) -> NDArray[np.float32]:
    """Return the network's answers for the cubes of `prepare` as one map on its grid, 0 where there was no cube."""
    holding = _holding(region)
    cubes = np.zeros((len(holding), WINDOW, WINDOW, WINDOW, 1), np.float32)
    cubes[holding] = prediction
    return WINDOWS.join(cubes, region.shape)[..., 0]


def _holding(region: Mask) -> NDArray[np.bool_]:
    """Return which of the cubes over the grid hold a part of the region."""
    corners = WINDOWS.corners(region.shape)
    return np.array([region[tuple(slice(start, start + WINDOW) for start in corner)].any() for corner in corners])
