"""How wide an outline is: the longest straight line across it in the plane of one slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask

Points = NDArray[np.float64]

# The middles of the four edges of a pixel, (row, column) from its centre.
_EDGES = np.array([(-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5)])


@dataclass(frozen=True)
class Diameter:
    """The longest line within a slice of an outline, in mm, and that slice, counted from 0."""

    length_mm: float
    slice_number: int


def longest_diameter(mask: Mask, spacing_mm: Sequence[float]) -> Diameter:
    """Return the longest distance between two border points of a (slices, rows, columns) mask in one slice.

    `spacing_mm` lies between slices, rows and columns. The border points are the middles of pixel edges,
    so that a row of n pixels is n pixels long. Of equal slices the first counts. Raises ValueError for
    an empty mask.
    """
    numbers = np.flatnonzero(mask.any(axis=(1, 2)))
    if not numbers.size:
        raise ValueError("an empty mask has no diameter")
    in_plane_mm = np.array(spacing_mm[1:], np.float64)
    boxes = {int(number): _diagonal_mm(mask[number], in_plane_mm) for number in numbers}
    longest = Diameter(0.0, int(numbers[0]))
    for number in sorted(boxes, key=lambda slice_number: (-boxes[slice_number], slice_number)):
        if boxes[number] <= longest.length_mm:
            break  # no line is longer than the diagonal of the box around it
        found = Diameter(_farthest(_hull(_border(mask[number]) * in_plane_mm)), number)
        if (found.length_mm, -found.slice_number) > (longest.length_mm, -longest.slice_number):
            longest = found
    return longest


def _diagonal_mm(mask: Mask, spacing_mm: Points) -> float:
    """Return the diagonal of the box around a (rows, columns) mask."""
    sides = [np.ptp(np.flatnonzero(mask.any(axis=axis))) + 1 for axis in (1, 0)]
    return float(np.hypot(*(np.array(sides) * spacing_mm)))


def _border(mask: Mask) -> Points:
    """Return the edge middles of the first and the last pixel of every row, (points, 2) of (row, column)."""
    rows = np.flatnonzero(mask.any(axis=1))
    inside = mask[rows]
    first = inside.argmax(axis=1)
    last = mask.shape[1] - 1 - inside[:, ::-1].argmax(axis=1)
    centres = np.stack([np.tile(rows, 2), np.concatenate([first, last])], axis=1)
    return np.asarray((centres[:, np.newaxis] + _EDGES).reshape(-1, 2))


def _hull(points: Points) -> Points:
    """Return the corners of the convex hull (A. M. Andrew, Inf. Process. Lett. 9 (1979) 216)."""
    ordered = np.unique(points, axis=0)
    return np.concatenate([_chain(ordered), _chain(ordered[::-1])])


def _chain(ordered: Points) -> Points:
    """Return one side of the hull of points in lexicographic order."""
    chain: list[Points] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return np.array(chain)


def _turn(begin: Points, middle: Points, end: Points) -> float:
    """Return how far the path turns left at the middle; negative to the right."""
    (along_x, along_y), (across_x, across_y) = middle - begin, end - begin
    return float(along_x * across_y - along_y * across_x)


def _farthest(corners: Points) -> float:
    return float(max(np.hypot(*(corners - corner).T).max() for corner in corners))
