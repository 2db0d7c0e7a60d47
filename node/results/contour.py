"""Outer borders of a mask as closed polygons, in the pixel coordinates of an SR's SCOORD."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask

Polygon = NDArray[np.float32]
Corner = tuple[int, int]

# How far a simplified border may run from the pixel edges it replaces; stairs are 0.71 high.
TOLERANCE_PX = 0.75


def outer_contours(mask: Mask, tolerance_px: float = TOLERANCE_PX) -> list[Polygon]:
    """Return the closed outer border of each region of the mask, the largest region first.

    A polygon is (points, 2) of (column, row), its first point repeated at the end, in which 0, 0 is the
    top left corner of the top left pixel, so that the centre of that pixel is 0.5, 0.5 (PS3.3
    C.18.6.1.1). Regions are connected along pixel edges, and holes are not outlined. The border
    runs along the edges of pixels, then loses the corners that stray less than `tolerance_px`.
    """
    borders = [border for border in _pixel_borders(mask) if _signed_area(border) > 0]
    borders.sort(key=lambda border: (-_signed_area(border), border[0].tolist()))
    return [_simplified(border, tolerance_px).astype(np.float32) for border in borders]


def _pixel_borders(mask: Mask) -> list[NDArray[np.int64]]:
    """Return every closed path along the edges of pixels; outer borders run clockwise on the screen."""
    leaving = _edges_by_start(mask)
    borders = []
    for start in list(leaving):
        while leaving[start]:
            borders.append(np.array(_follow(leaving, start), dtype=np.int64))
    return borders


def _follow(leaving: dict[Corner, list[Corner]], start: Corner) -> list[Corner]:
    """Take edges out of `leaving` from `start` until the path closes, its first corner repeated.

    Where two pixels touch only by a corner the path turns right, which keeps them apart.
    """
    corners = [start, leaving[start].pop()]
    while True:
        here, right = corners[-1], _right_of(corners[-2], corners[-1])
        choices = leaving[here]
        if here == start and (right == corners[1] or not choices):
            return corners
        onward = right if right in choices else choices[0]
        choices.remove(onward)
        corners.append(onward)


def _right_of(previous: Corner, corner: Corner) -> Corner:
    """Return the corner one reaches by turning right, on the screen, at `corner`."""
    across, down = corner[0] - previous[0], corner[1] - previous[1]
    return (corner[0] - down, corner[1] + across)


def _edges_by_start(mask: Mask) -> dict[Corner, list[Corner]]:
    """Return the directed pixel edges, (column, row) corners, with the mask on their right side."""
    edges: dict[Corner, list[Corner]] = defaultdict(list)
    if not mask.any():
        return edges
    top, left, box = _cropped(mask)
    framed = np.pad(box, 1)
    inside = framed[1:-1, 1:-1]
    sides = (
        (framed[:-2, 1:-1], (0, 0), (1, 0)),  # above it is outside: run right along the top
        (framed[1:-1, 2:], (1, 0), (1, 1)),
        (framed[2:, 1:-1], (1, 1), (0, 1)),
        (framed[1:-1, :-2], (0, 1), (0, 0)),
    )
    for neighbour, begin, end in sides:
        rows, columns = np.nonzero(inside & ~neighbour)
        for row, column in zip((rows + top).tolist(), (columns + left).tolist(), strict=True):
            edges[column + begin[0], row + begin[1]].append((column + end[0], row + end[1]))
    return edges


def _cropped(mask: Mask) -> tuple[int, int, Mask]:
    """Return the first row and column of a mask that is not empty, and the part of it that holds the rest."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, mask[top : rows[-1] + 1, left : columns[-1] + 1]


def _signed_area(border: NDArray[np.int64]) -> float:
    """Return the enclosed area in pixels, positive when the border runs clockwise on the screen."""
    columns, rows = border[:-1].T
    next_columns, next_rows = border[1:].T
    return float(np.sum(columns * next_rows - next_columns * rows)) / 2


def _simplified(border: NDArray[np.int64], tolerance_px: float) -> NDArray[np.float64]:
    """Drop corners by the rule of Douglas and Peucker; the first corner and the farthest from it stay.

    In each round the farthest corner of every span between two that stay is kept too, if it strays.
    """
    points = border.astype(np.float64)
    kept = np.zeros(len(points), dtype=bool)
    kept[[0, int(np.argmax(np.hypot(*(points - points[0]).T))), -1]] = True
    while True:
        ends = np.flatnonzero(kept)
        span = np.minimum(np.cumsum(kept) - 1, len(ends) - 2)
        distances = _distances(points, points[ends[:-1]][span], points[ends[1:]][span])
        farthest = np.maximum.reduceat(distances, ends[:-1])[span]
        straying = np.flatnonzero((distances == farthest) & (distances > tolerance_px))
        if not len(straying):
            return points[kept] if kept.sum() > 3 else points
        _, first = np.unique(span[straying], return_index=True)
        kept[straying[first]] = True


def _distances(
    points: NDArray[np.float64], begins: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each point lies from the straight piece between its begin and its end."""
    along = ends - begins
    length = np.sum(along * along, axis=1)
    share = np.sum((points - begins) * along, axis=1) / np.where(length > 0, length, 1.0)
    return np.asarray(np.hypot(*(points - begins - np.clip(share, 0.0, 1.0)[:, np.newaxis] * along).T))
