"""Cuts patches of one size out of pictures and volumes, anywhere or as often from each class."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Corner = tuple[int, ...]


def cut_patch(array: NDArray[Any], corner: Corner, size: tuple[int, ...], outside: float = 0.0) -> NDArray[Any]:
    """Return the patch of `size` whose first voxel is `corner`; further axes, such as channels, stay whole.

    The corner may be negative, and the patch may reach over the edges: there it holds `outside`.
    """
    axes = len(size)
    starts = [max(0, first) for first in corner]
    stops = [min(side, first + length) for side, first, length in zip(array.shape, corner, size, strict=False)]
    inside = array[tuple(slice(start, max(start, stop)) for start, stop in zip(starts, stops, strict=True))]
    before = [start - first for start, first in zip(starts, corner, strict=True)]
    if inside.shape[:axes] == tuple(size):
        return inside.copy()
    patch = np.full((*size, *array.shape[axes:]), outside, array.dtype)
    places = (slice(skip, skip + count) for skip, count in zip(before, inside.shape[:axes], strict=True))
    patch[tuple(places)] = inside
    return patch


def draw_corner(shape: tuple[int, ...], size: tuple[int, ...], rng: Generator) -> Corner:
    """Draw where a patch that lies inside begins; along an axis too short for it, it lies in the middle."""
    return tuple(
        int(rng.integers(0, side - length + 1)) if side >= length else (side - length) // 2
        for side, length in zip(shape, size, strict=True)
    )


def draw_balanced_corner(labels: NDArray[Any], size: tuple[int, ...], rng: Generator) -> Corner:
    """Draw where a patch begins whose centre shows each class of `labels` equally often, however rare it is.

    The class is drawn among those that occur, then one of its voxels. A patch near the edge is moved
    inside, as far as the array is large enough.
    """
    return draw_corner_on(labels == rng.choice(np.unique(labels)), size, rng)


def draw_corner_on(mask: NDArray[np.bool_], size: tuple[int, ...], rng: Generator) -> Corner:
    """Draw where a patch begins whose centre lies on the mask, which must not be empty, or close to it at the edge."""
    places = np.flatnonzero(mask)
    centre = np.unravel_index(int(places[rng.integers(places.size)]), mask.shape)
    return tuple(
        int(np.clip(at - length // 2, 0, side - length)) if side >= length else (side - length) // 2
        for at, side, length in zip(centre, mask.shape, size, strict=True)
    )


def draw_balanced_patches(
    voxels: NDArray[Any], labels: NDArray[Any], size: tuple[int, ...], count: int, rng: Generator
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return patches of voxels and of labels, (count, *size, …), whose centres show each class equally often."""
    corners = [draw_balanced_corner(labels, size, rng) for _ in range(count)]
    return (
        np.stack([cut_patch(voxels, corner, size) for corner in corners]),
        np.stack([cut_patch(labels, corner, size) for corner in corners]),
    )
