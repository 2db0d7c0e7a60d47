"""Finds the head in a volume and brings the box around the brain to one small grid along the patient's axes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.errors import PixelsRefused, SeriesRefused
from node.imaging.components import largest_components
from node.imaging.regrid import resample_volume
from node.imaging.volume import Grid, Unit, Volume
from node.vocabulary import Mask, Pixels

STEP_MM = 4.0
SHAPE = (40, 56, 48)           # slices to the head, rows to the back, columns to the left
MOST_MM = 700.0                # longer than any head series; a whole body needs no gate to be told
ABOVE_MM = 8.0                 # room between the top of the head and the top of the box
AIR_SHARE = 0.6                # of Otsu's threshold of square roots, which a bright scalp moves less: below is air
SMOOTH_MM = 25.0               # standard deviation of the neighbourhood that grey values are divided by
MOST = 3.0
TOP_MM2 = 1500.0               # the smallest area of the head that counts as its top
UPPER_PART_MM = (20.0, 110.0)  # below the top: cranium without neck, where the middle is looked for


@dataclass(frozen=True)
class HeadBox:
    """The (40, 56, 48) values around a brain and their grid; what is not head is 0.

    `values` are grey values divided by the mean grey of the head around them, so that the sensitivity of the
    coil cancels. `shading` is the logarithm of that mean, 0 where it is as usual for the volume.
    """

    values: Pixels
    shading: Pixels
    grid: Grid


def find_head(volume: Volume) -> HeadBox:
    """Return the box of 160 x 224 x 192 mm that begins just above the head.

    Directions are those that the header states. Raises PixelsRefused where nothing stands out of the
    background, and SeriesRefused for a volume too large for a head.
    """
    coarse = _to_patient_axes(average_blocks(volume))
    grey = np.asarray(coarse.voxels, np.float32)
    head = _largest_bright_part(grey)
    box = _box_below_top(head, coarse.grid)
    values, shading = (
        resample_volume(_as_volume(part, coarse.grid), box) for part in _even_out(grey, head)
    )
    seen = ~values.padding
    return HeadBox(_only(seen, values.voxels), _only(seen, shading.voxels), box)


def average_blocks(volume: Volume) -> Volume:
    """Return means over blocks of about 4 mm, float32 from 0, so that noise and fine structure do not alias.

    Raises SeriesRefused for a volume that is thinner than two such blocks.
    """
    factors = [max(1, int(STEP_MM / step + 0.25)) for step in volume.grid.spacing_mm]
    counts = [count // factor for count, factor in zip(volume.grid.shape, factors, strict=True)]
    if min(counts) < 2:
        raise SeriesRefused(
            f"the volume has {' x '.join(map(str, volume.grid.shape))} voxels, expected one at least "
            f"{2 * STEP_MM:.0f} mm thick in every direction; send a series of the whole head"
        )
    used = volume.voxels[tuple(slice(0, count * factor) for count, factor in zip(counts, factors, strict=True))]
    pairs = [side for count, factor in zip(counts, factors, strict=True) for side in (count, factor)]
    means = used.reshape(pairs).mean(axis=(1, 3, 5), dtype=np.float32)
    middle = [(factor - 1) / 2 for factor in factors]
    x, y, z = volume.grid.position_mm((middle[0], middle[1], middle[2])).tolist()
    steps = np.array(volume.grid.steps_mm) * np.array(factors)[:, np.newaxis]
    grid = Grid((counts[0], counts[1], counts[2]), (x, y, z), tuple(tuple(step) for step in steps.tolist()))
    return _as_volume(means - means.min(), grid)


def _to_patient_axes(volume: Volume) -> Volume:
    """Resample to 4 mm along the patient's axes, over the box that holds the whole volume."""
    last = [count - 1 for count in volume.grid.shape]
    corners = np.array([volume.grid.position_mm(tuple(np.multiply(last, part))) for part in np.ndindex(2, 2, 2)])
    low, size = corners.min(axis=0), np.ptp(corners, axis=0)
    if size.max() > MOST_MM:
        raise SeriesRefused(
            f"the volume is {size.max():.0f} mm long, expected a head of at most {MOST_MM:.0f} mm; "
            "send a series of the head alone"
        )
    columns, rows, slices = (int(np.ceil(side / STEP_MM)) + 1 for side in size)
    return resample_volume(volume, _upright_grid((slices, rows, columns), low))


def _largest_bright_part(grey: Pixels) -> Mask:
    """Return the largest connected part that is not air, without holes in any slice."""
    roots = np.sqrt(grey)
    chooser = SimpleITK.OtsuThresholdImageFilter()
    chooser.Execute(SimpleITK.GetImageFromArray(np.ascontiguousarray(roots[::2, ::2, ::2])))
    parts = largest_components(roots > AIR_SHARE * chooser.GetThreshold(), 1, 64)
    if not parts or grey.max() <= 0:
        raise PixelsRefused(
            "nothing stands out of the background of the volume, expected a head; check the pixel data of the series"
        )
    filled = SimpleITK.BinaryFillhole(SimpleITK.GetImageFromArray(parts[0].astype(np.uint8)))
    return np.asarray(SimpleITK.GetArrayFromImage(filled) > 0)


def _even_out(grey: Pixels, head: Mask) -> tuple[Pixels, Pixels]:
    """Return the values and the shading of a `HeadBox` (Guillemaud R, IEEE Nucl. Sci. Symp. 1998)."""
    inside = head.astype(np.float32)
    around = _smooth(grey * inside) / np.maximum(_smooth(inside), 1e-3)
    usual = max(float(np.median(around[head])), 1e-6)
    around = np.maximum(around, usual * np.exp(-MOST))
    values = np.where(head, np.clip(grey / around, 0.0, MOST), 0.0)
    shading = np.where(head, np.clip(np.log(around / usual), -MOST, MOST), 0.0)
    return values.astype(np.float32), shading.astype(np.float32)


def _smooth(values: Pixels) -> Pixels:
    """Return the sum under a Gaussian around each voxel; nothing lies outside."""
    for axis, count in enumerate(values.shape):
        places = STEP_MM / SMOOTH_MM * np.arange(count, dtype=np.float32)
        weights = np.exp(-0.5 * (places[np.newaxis] - places[:, np.newaxis]) ** 2)
        values = np.moveaxis(np.tensordot(weights, values, (1, axis)), 0, axis)
    return np.asarray(values, np.float32)


def _box_below_top(head: Mask, grid: Grid) -> Grid:
    """Return the box whose top lies above the head, centred on the upper part of the head."""
    areas = head.sum(axis=(1, 2)) * STEP_MM**2
    wide = np.flatnonzero(areas >= min(TOP_MM2, float(areas.max())))
    top = int(wide[-1])
    low, high = (top - int(mm / STEP_MM) for mm in reversed(UPPER_PART_MM))
    upper = head[max(0, low) : max(1, high + 1)]
    _, rows, columns = np.nonzero(upper if upper.any() else head)
    middle = [(float(places.min()) + float(places.max())) / 2 for places in (rows, columns)]
    slices = top + ABOVE_MM / STEP_MM - (SHAPE[0] - 1)
    origin = grid.position_mm((slices, middle[0] - (SHAPE[1] - 1) / 2, middle[1] - (SHAPE[2] - 1) / 2))
    return _upright_grid(SHAPE, origin)


def _only(seen: Mask, values: NDArray[np.generic]) -> Pixels:
    return np.where(seen, values, 0.0).astype(np.float32)


def _upright_grid(shape: tuple[int, int, int], origin_mm: NDArray[np.float64]) -> Grid:
    x, y, z = (float(value) for value in origin_mm)
    return Grid(shape, (x, y, z), ((0.0, 0.0, STEP_MM), (0.0, STEP_MM, 0.0), (STEP_MM, 0.0, 0.0)))


def _as_volume(voxels: Pixels, grid: Grid) -> Volume:
    return Volume(voxels, grid, Unit.STORED, np.zeros(grid.shape, np.bool_), (), "")
