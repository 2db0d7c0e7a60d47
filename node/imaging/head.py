"""Grey values of a head in MR on one scale whatever the scanner: air 0, bright tissue about 1, shading taken out."""

from __future__ import annotations

import numpy as np

from node.errors import PixelsRefused
from node.imaging.smoothing import blur_along
from node.imaging.volume import Volume
from node.vocabulary import Mask, Pixels

Box = tuple[slice, slice, slice]

BINS = 256
BRIGHTEST = 3.0
SHADING_MM = 25.0
FAT = 1.5  # of the median: what is brighter counts as this much, so that fat does not darken the cortex under it
LEAST_SHARE = 0.05
MARGIN_MM = 12.0
LEAST_IN_PLANE = 0.02  # of the fullest plane: fewer bright voxels are noise or a mark beside the head


def normalise_head(volume: Volume) -> Pixels:
    """Return the voxels divided by their mean over the tissue within some 25 mm, in 0..3.

    A coil at the surface makes the middle of a head dark; this evens it out, and makes tissue about 1. Voxels are
    those of `resample_upright`. Raises PixelsRefused where nothing stands out from the background.
    """
    voxels = np.asarray(volume.voxels, np.float32)
    tissue = bright_tissue(volume)
    values = voxels[tissue]
    counted = (voxels > values.min() / 2) & ~volume.padding
    limited = np.where(counted, np.minimum(voxels, FAT * np.median(values)), 0.0).astype(np.float32)
    share = _blur(counted.astype(np.float32), volume)
    mean = _blur(limited, volume) / np.maximum(share, LEAST_SHARE)
    return np.asarray(np.clip(voxels / np.maximum(mean, values.min() / 4), 0.0, BRIGHTEST), np.float32)


def bright_tissue(volume: Volume) -> Mask:
    """Return where a head is bright: above the threshold of Otsu (1979) over its 256 grey levels.

    The brightest percent counts as one level, so that a few vessels do not move the threshold. Raises PixelsRefused
    where all voxels are alike.
    """
    voxels = np.asarray(volume.voxels, np.float32)
    levels = np.clip(voxels, 0.0, np.percentile(voxels, 99.0))
    if levels.min() == levels.max():
        raise PixelsRefused("all voxels have the same value, so there is no head; send an MR series of a head")
    counts, edges = np.histogram(levels, BINS)
    below = np.cumsum(counts)[:-1]
    above = levels.size - below
    sums = np.cumsum(counts * (edges[:-1] + edges[1:]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums[:-1] / below - (sums[-1] - sums[:-1]) / above) ** 2
    return np.asarray((voxels > edges[1 + int(np.nan_to_num(between).argmax())]) & ~volume.padding)


def head_box(volume: Volume) -> Box:
    """Return the box of the head with a margin of 12 mm; a mark or noise beside it does not widen it."""
    tissue = bright_tissue(volume)
    parts = []
    for axis, spacing_mm in enumerate(volume.grid.spacing_mm):
        counts = tissue.sum(axis=tuple(other for other in range(3) if other != axis))
        inside = np.flatnonzero(counts >= LEAST_IN_PLANE * counts.max())
        margin = round(MARGIN_MM / spacing_mm)
        parts.append(slice(max(0, int(inside[0]) - margin), min(counts.size, int(inside[-1]) + 1 + margin)))
    return parts[0], parts[1], parts[2]


def _blur(values: Pixels, volume: Volume) -> Pixels:
    for axis, spacing_mm in enumerate(volume.grid.spacing_mm):
        values = blur_along(values, axis, SHADING_MM / spacing_mm)
    return values
