"""Draws MR volumes of whole heads from label maps, so that a network meets contrasts and faces it has no scans of.

The idea is that of Billot B et al.: SynthSeg, Medical Image Analysis 86, 102789, 2023: a random grey value for
each label, then what a scanner adds. Here half of the heads look like T1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.imaging.regrid import Interpolation, resample_volume
from node.imaging.smoothing import blur_along
from node.imaging.volume import Grid, Unit, Volume, grid_with_spacing
from node.training.head_maps import LABELS, HeadMap
from node.training.smooth_fields import smooth_field
from node.vocabulary import Pixels

WHITE = 1000.0  # the stored value of white matter in a T1 of this module
SOFT_TISSUE = 507

# Grey of T1, white matter being 1: (lowest, highest). What lies outside the brain was named by looking at the maps.
_T1: dict[tuple[int, ...], tuple[float, float]] = {
    (0,): (0.0, 0.03),
    (4, 5, 14, 15, 24, 43, 44, 72): (0.12, 0.35),
    (3, 8, 17, 18, 26, 42, 47, 53, 54, 58): (0.55, 0.80),
    (11, 12, 50, 51): (0.62, 0.85),
    (10, 49, 28, 60): (0.72, 0.92),
    (13, 52): (0.80, 1.0),
    (2, 7, 16, 41, 46, 85): (0.94, 1.06),
    (25, 57): (0.45, 0.85),
    (30, 62, 136, 137, 163, 164): (0.30, 1.0),
    (502, 514): (0.15, 1.3),   # arteries; venous sinus and dura
    (506,): (0.12, 0.4),       # eyes
    (508, 509, 530): (0.4, 1.0),  # optic nerve, nasal mucosa, pituitary
    (SOFT_TISSUE,): (0.35, 0.75),  # as muscle; fat is added in patches
    (511,): (0.4, 1.4),        # skin
    (512,): (0.8, 1.05),       # spinal cord
    (515,): (0.03, 0.25),      # compact bone
    (516,): (0.3, 1.6),        # marrow
}  # fmt: skip


@dataclass(frozen=True)
class ScanLimits:
    """What scans to draw: shares of heads in 0..1, and how far each effect goes.

    `t1_share` of the heads look like T1, the others have any contrast. `bias` is the standard deviation of the
    logarithm of the coil's sensitivity, `noise` the largest deviation as a fraction of white matter, `blur_mm` the
    largest deviation of the point spread, `slice_mm` the range of slice thickness of the `thick_share`. `crop_share`
    of the heads end somewhere above the neck, `blank_share` have an air set to exactly 0 as after defacing.
    """

    t1_share: float = 0.5
    bias: float = 0.25
    noise: float = 0.08
    blur_mm: float = 1.0
    thick_share: float = 0.3
    slice_mm: tuple[float, float] = (2.5, 6.0)
    crop_share: float = 0.5
    blank_share: float = 0.3


def synthesise_head(head: HeadMap, limits: ScanLimits, rng: Generator) -> Volume:
    """Return a made-up MR volume of a head, float32 in stored units, along the patient's axes.

    The grid has 2 mm voxels, or thick slices across one axis drawn at random; it lies in the patient where the
    map lies, so that what `head` knows on its own grid can be brought to it.
    """
    is_t1 = rng.random() < limits.t1_share
    grey = _draw_t1(rng) if is_t1 else _draw_any_contrast(rng)
    voxels = head.average(grey) + _draw_texture(head, grey, is_t1, rng)
    air = head.air > 0.5
    voxels *= np.exp(smooth_field(voxels.shape, int(rng.integers(2, 5)), rng) * rng.uniform(0.0, limits.bias))
    voxels = _blur(voxels, rng.uniform(0.0, limits.blur_mm) / head.grid.spacing_mm[0])
    voxels = _add_noise(voxels, rng.uniform(0.0, limits.noise), rng)
    if rng.random() < limits.blank_share:
        voxels[air] = 0.0
    first = _draw_first_slice(head, limits, rng)
    volume = _as_volume(voxels[first:] * WHITE, _without_slices(head.grid, first))
    return _thicken(volume, rng.uniform(*limits.slice_mm), rng) if rng.random() < limits.thick_share else volume


def _draw_t1(rng: Generator) -> Pixels:
    """Draw a T1 grey value for each of LABELS: alike within a tissue, a little different between its structures."""
    grey = np.zeros(len(LABELS), np.float32)
    for labels, (low, high) in _T1.items():
        value = rng.uniform(low, high)
        for label in labels:
            grey[LABELS.index(label)] = np.clip(value + rng.normal(0.0, 0.1 * (high - low)), 0.0, None)
    return grey


def _draw_any_contrast(rng: Generator) -> Pixels:
    """Draw any grey value for each tissue, air dark, structures of a tissue a little different."""
    grey = np.zeros(len(LABELS), np.float32)
    for labels in _T1:
        value = rng.uniform(0.0, 0.05) if labels == (0,) else rng.uniform(0.05, 1.4)
        for label in labels:
            grey[LABELS.index(label)] = max(0.0, value + rng.normal(0.0, 0.04))
    return grey


def _draw_texture(head: HeadMap, grey: Pixels, is_t1: bool, rng: Generator) -> Pixels:
    """Draw patches of fat in the soft tissue and a faint unevenness everywhere, which the maps do not have."""
    fat = rng.uniform(0.9, 2.2) if is_t1 else rng.uniform(0.05, 2.0)
    patches = smooth_field(head.grid.shape, int(rng.integers(12, 28)), rng) > rng.normal(0.0, 0.5)
    soft = head.share((SOFT_TISSUE,)) * patches * (fat - grey[LABELS.index(SOFT_TISSUE)])
    uneven = smooth_field(head.grid.shape, 40, rng) * rng.uniform(0.0, 0.04)
    return np.asarray(soft + uneven * (1.0 - head.air), np.float32)


def _blur(voxels: Pixels, sigma_voxels: float) -> Pixels:
    for axis in range(3):
        voxels = blur_along(voxels, axis, sigma_voxels)
    return voxels


def _add_noise(voxels: Pixels, deviation: float, rng: Generator) -> Pixels:
    """Add Rician noise: the magnitude of a complex signal with normal noise in both parts."""
    real = voxels + deviation * rng.standard_normal(voxels.shape, np.float32)
    imaginary = deviation * rng.standard_normal(voxels.shape, np.float32)
    return np.asarray(np.hypot(real, imaginary), np.float32)


def _draw_first_slice(head: HeadMap, limits: ScanLimits, rng: Generator) -> int:
    """Return where the field of view begins: at the neck, or anywhere up to the lowest slice with brain."""
    lowest = int(np.flatnonzero(head.brain.any(axis=(1, 2)))[0])
    return int(rng.integers(0, lowest + 1)) if rng.random() < limits.crop_share else 0


def _without_slices(grid: Grid, count: int) -> Grid:
    x, y, z = (float(value) for value in grid.position_mm((count, 0, 0)))
    return Grid((grid.shape[0] - count, grid.shape[1], grid.shape[2]), (x, y, z), grid.steps_mm)


def _as_volume(voxels: Pixels, grid: Grid) -> Volume:
    voxels = np.ascontiguousarray(voxels, np.float32)
    return Volume(voxels, grid, Unit.STORED, np.zeros(grid.shape, np.bool_), (), "")


def _thicken(volume: Volume, slice_mm: float, rng: Generator) -> Volume:
    """Average along one axis as a slice profile does, and keep one slice per `slice_mm`."""
    axis = int(rng.integers(0, 3))
    spacing = list(volume.grid.spacing_mm)
    averaged = blur_along(volume.voxels.astype(np.float32), axis, 0.4 * slice_mm / spacing[axis])
    spacing[axis] = slice_mm
    grid = grid_with_spacing(volume.grid, (spacing[0], spacing[1], spacing[2]))
    return resample_volume(_as_volume(averaged, volume.grid), grid, Interpolation.LINEAR)
