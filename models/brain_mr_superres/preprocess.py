"""What the network sees of a coarse volume, and the finer volume that its answer makes."""

from __future__ import annotations

import math

import numpy as np

from node.errors import PixelsRefused, SeriesRefused
from node.imaging.normalise import LEAST_SPREAD
from node.imaging.sliding_window import SlidingWindow
from node.imaging.volume import Grid, Volume
from node.vocabulary import Interpretation, Pixels, RefinedVolume

from .interpolation import upsample

Factors = tuple[int, int, int]

THICK: Factors = (4, 1, 1)
ISOTROPIC: Factors = (4, 4, 4)
LEAST_RATIO = 3.0           # slice distance to pixel distance, from which slices are thick
LEAST_ISOTROPIC_MM = 3.0    # voxels that are coarse in every direction
MOST_ISOTROPIC_RATIO = 1.5
LEAST_COUNT = 8             # voxels along a direction that is refined
MOST_SLICES = 1000          # of the result, each of which becomes an instance
MOST_VOXELS = 80_000_000    # of the result; computing takes some 20 bytes of memory for each

BLOCK = 4                   # finer voxels per step of the windows, so that each begins at a coarse voxel
WINDOW = (64, 96, 96)
WINDOWS = SlidingWindow(tuple(side // BLOCK for side in WINDOW), overlap=0.25)


def prepare(volume: Volume) -> Pixels:
    """Return (windows, 64, 96, 96, 1): the volume on the finer grid by cubic B-splines, whitened, cut into windows.

    Raises SeriesRefused for a volume that is neither of thick slices nor of large voxels, or whose result
    would be too large, and PixelsRefused for one without contrast.
    """
    factors = choose_factors(volume.grid)
    mean, deviation = _level(volume)
    whitened = (_interpolated(volume, factors) - mean) / deviation
    windows = WINDOWS.cut(_to_blocks(whitened), outside=-mean / deviation)
    return _from_blocks(windows)[..., np.newaxis]


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return the volume on the finer grid, in its own unit, with its own lowest value and mean."""
    factors = choose_factors(volume.grid)
    mean, deviation = _level(volume)
    shape = tuple(count * factor for count, factor in zip(volume.grid.shape, factors, strict=True))
    joined = WINDOWS.join(_to_blocks(prediction[..., 0]), tuple(math.ceil(side / BLOCK) for side in shape))
    whitened = _from_blocks(joined)[tuple(slice(0, side) for side in shape)]
    voxels = _with_mean_of(whitened * deviation + mean, volume)
    return Interpretation(
        remarks=(_remark(volume.grid, factors),),
        refinements=(RefinedVolume("refined", voxels, factors),),
    )


def choose_factors(grid: Grid) -> Factors:
    """Return by what (slices, rows, columns) are multiplied: 4, 1, 1 for thick slices, 4, 4, 4 for large voxels.

    Raises SeriesRefused for any other grid, for too few voxels, and for too large a result.
    """
    slice_mm, *pixel_mm = grid.spacing_mm
    least, most = min(grid.spacing_mm), max(grid.spacing_mm)
    if slice_mm >= LEAST_RATIO * max(pixel_mm):
        factors = THICK
    elif least >= LEAST_ISOTROPIC_MM and most <= MOST_ISOTROPIC_RATIO * least:
        factors = ISOTROPIC
    else:
        raise SeriesRefused(
            f"the voxels measure {_size(grid.spacing_mm)}, expected slices at least {LEAST_RATIO:.0f} times as far "
            f"apart as pixels, or at least {LEAST_ISOTROPIC_MM:.0f} mm in every direction alike; choose a series of "
            "thick slices"
        )
    _check_size(grid, factors)
    return factors


def _check_size(grid: Grid, factors: Factors) -> None:
    refined = [count for count, factor in zip(grid.shape, factors, strict=True) if factor > 1]
    if min(refined) < LEAST_COUNT:
        raise SeriesRefused(
            f"the volume has {' x '.join(map(str, grid.shape))} voxels (slices, rows, columns), expected at least "
            f"{LEAST_COUNT} along each direction that is refined; send a series of the whole head"
        )
    slices, voxels = grid.shape[0] * factors[0], math.prod(grid.shape) * math.prod(factors)
    if slices > MOST_SLICES or voxels > MOST_VOXELS:
        raise SeriesRefused(
            f"the finer series would have {slices} slices and {voxels / 1e6:.0f} million voxels, expected at most "
            f"{MOST_SLICES} and {MOST_VOXELS / 1e6:.0f} million; send a smaller part of it"
        )


def _level(volume: Volume) -> tuple[float, float]:
    """Return mean and standard deviation of the voxels; raises PixelsRefused where there is no contrast."""
    seen = volume.voxels[~volume.padding]
    deviation = float(seen.std(dtype=np.float64)) if seen.size else 0.0
    if deviation <= LEAST_SPREAD:
        raise PixelsRefused(
            "every voxel has the same value, expected a picture of a head; check the pixel data of the series"
        )
    return float(seen.mean(dtype=np.float64)), deviation


def _interpolated(volume: Volume, factors: Factors) -> Pixels:
    return upsample(volume.voxels.astype(np.float32), factors)


def _with_mean_of(voxels: Pixels, volume: Volume) -> Pixels:
    """Return the values not below the lowest of the source, multiplied so that their mean above it is the source's."""
    lowest = float(volume.voxels.min())
    above = np.maximum(voxels - lowest, 0.0)
    wanted, found = float(volume.voxels.mean(dtype=np.float64)) - lowest, float(above.mean(dtype=np.float64))
    return np.asarray(above * np.float32(wanted / found if found > 0 else 1.0) + np.float32(lowest), np.float32)


def _remark(grid: Grid, factors: Factors) -> str:
    finer = tuple(step / factor for step, factor in zip(grid.spacing_mm, factors, strict=True))
    return (
        f"The voxels of the finer series measure {_size(finer)}, those of its source {_size(grid.spacing_mm)}; "
        "its detail is estimated, not measured."
    )


def _size(spacing_mm: tuple[float, ...]) -> str:
    return f"{' x '.join(f'{step:.2f}' for step in spacing_mm)} mm (slice, row, column)"


def _to_blocks(voxels: Pixels) -> Pixels:
    """Gather blocks of 4 x 4 x 4 voxels of the last three axes as channels; edges repeat to fill the last."""
    missing = [(0, -side % BLOCK) for side in voxels.shape[-3:]]
    filled = np.pad(voxels, [(0, 0)] * (voxels.ndim - 3) + missing, mode="edge")
    depth, height, width = (side // BLOCK for side in filled.shape[-3:])
    split = filled.reshape(-1, depth, BLOCK, height, BLOCK, width, BLOCK).transpose(0, 1, 3, 5, 2, 4, 6)
    return split.reshape(*voxels.shape[:-3], depth, height, width, BLOCK**3)


def _from_blocks(blocks: Pixels) -> Pixels:
    """Spread the channels over their blocks again: undo `_to_blocks`, but for the filled edges."""
    depth, height, width, _ = blocks.shape[-4:]
    split = blocks.reshape(-1, depth, height, width, BLOCK, BLOCK, BLOCK).transpose(0, 1, 4, 2, 5, 3, 6)
    return split.reshape(*blocks.shape[:-4], depth * BLOCK, height * BLOCK, width * BLOCK)
