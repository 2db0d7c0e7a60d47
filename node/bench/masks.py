"""The masks that all ways of encoding are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask

# Centre and half axes, as parts of (slices, rows, columns).
STRUCTURES = {
    "Right lung": ((0.50, 0.50, 0.30), (0.40, 0.25, 0.13)),
    "Left lung": ((0.50, 0.50, 0.70), (0.40, 0.25, 0.13)),
    "Heart": ((0.40, 0.40, 0.52), (0.20, 0.13, 0.10)),
    "Liver": ((0.10, 0.52, 0.35), (0.15, 0.20, 0.16)),
    "Spleen": ((0.10, 0.60, 0.72), (0.10, 0.08, 0.07)),
}


def make_masks(shape: tuple[int, ...]) -> dict[str, Mask]:
    """Return five ellipsoids, by label, one overlapping another."""
    return {label: _ellipsoid(shape, *place) for label, place in STRUCTURES.items()}


def stack_masks(masks: Mapping[str, Mask]) -> NDArray[np.uint8]:
    """Return them as one array of (slices, rows, columns, segments), as highdicom takes them."""
    return np.stack(list(masks.values()), axis=-1).astype(np.uint8)


def _ellipsoid(shape: tuple[int, ...], centre: Sequence[float], half: Sequence[float]) -> Mask:
    slices, rows, columns = (
        (((np.arange(size) + 0.5) / size - middle) / extent) ** 2
        for size, middle, extent in zip(shape, centre, half, strict=True)
    )
    inside: Mask = slices[:, None, None] + rows[:, None] + columns < 1
    return inside
