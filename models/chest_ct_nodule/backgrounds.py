"""The lungs that nodules are put into for training: drawn ones, and real ones whose tumours are left out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.regrid import mask_to_grid
from node.imaging.volume import Volume
from node.vocabulary import Mask

from .lung_region import lung_region
from .thorax import draw_thorax
from .tissue import Field
from .working_grid import FINE_MM, WINDOW, fine_grid, on_grid

Indices = NDArray[np.int16]
DENSE_HU = -550.0
AERATED_HU = -450.0
MOST_PLACES = 20_000


@dataclass(frozen=True)
class Background:
    """A chest on the network's grid, free of nodules that anybody marked.

    `unknown` is where a real lesion lies: nothing is learned there. `edges` are voxels of the lung beside
    its wall, `dense` those in the lung that are not air, mostly vessels. `slice_mm` is the thickness of
    the scanner's slices, None in a drawing.
    """

    hu: NDArray[np.int16]
    lungs: Mask
    unknown: Mask
    edges: Indices
    dense: Indices
    anywhere: Indices
    slice_mm: float | None


def drawn_background(seed: int) -> Background:
    """Return the lungs of a made-up patient; the same number draws the same."""
    rng = np.random.default_rng(seed)
    thorax = draw_thorax(FINE_MM, rng)
    return _background(thorax.hu, thorax.lungs, np.zeros_like(thorax.lungs), None, rng)


def real_background(volume: Volume, lesions: Mask, seed: int) -> Background:
    """Return the lungs of a real series less its lesions, a mask on its voxels."""
    region, coarse = lung_region(volume)
    grid = fine_grid(region, coarse)
    hu = on_grid(volume, grid)
    widened = mask_to_grid(region, coarse, grid)
    air = SimpleITK.GetImageFromArray((widened & (hu < AERATED_HU)).astype(np.uint8))
    closed = SimpleITK.GetArrayFromImage(SimpleITK.BinaryMorphologicalClosing(air, [2, 2, 2], SimpleITK.sitkBall)) > 0
    unknown = mask_to_grid(lesions, volume.grid, grid)
    return _background(hu, closed & ~unknown, unknown, volume.grid.spacing_mm[0], np.random.default_rng(seed))


def keep_background(background: Background, file: Path) -> None:
    """Write a drawn background to a file from which `kept_background` reads it."""
    arrays = {name: value for name, value in vars(background).items() if name != "slice_mm"}
    part = file.with_suffix(".part.npz")
    np.savez_compressed(part, **arrays)
    part.replace(file)


def kept_background(file: Path) -> Background:
    """Return a drawn background from its file."""
    with np.load(file) as arrays:
        return Background(**arrays, slice_mm=None)


def _background(hu: Field, lungs: Mask, unknown: Mask, slice_mm: float | None, rng: Generator) -> Background:
    eroded = SimpleITK.GetArrayFromImage(
        SimpleITK.BinaryErode(SimpleITK.GetImageFromArray(lungs.astype(np.uint8)), [2, 2, 2])
    ) > 0
    return Background(
        hu=np.clip(np.round(_at_least(hu)), -1024, 3071).astype(np.int16),
        lungs=_at_least(lungs),
        unknown=_at_least(unknown),
        edges=_some(lungs & ~eroded, rng),
        dense=_some(eroded & (hu > DENSE_HU), rng),
        anywhere=_some(lungs, rng),
        slice_mm=slice_mm,
    )


def _at_least(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return voxels repeated at the end of an axis that is too short for a window with its margin."""
    missing = [(0, max(0, WINDOW + 8 - count)) for count in voxels.shape]
    return np.pad(voxels, missing, mode="edge")


def _some(mask: Mask, rng: Generator) -> Indices:
    """Return the indices of some voxels of a mask, all equally likely."""
    found = np.flatnonzero(mask)
    chosen = rng.permutation(found)[:MOST_PLACES]
    return np.stack(np.unravel_index(chosen, mask.shape), axis=-1).astype(np.int16)
