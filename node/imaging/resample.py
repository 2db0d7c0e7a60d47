"""Brings a picture of any size to a network's square grid, and a map on that grid back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Pixels


def letterbox(picture: Pixels, size: int, outside: float = 0.0) -> Pixels:
    """Fit a (rows, columns) picture centred into (size, size), sides in proportion.

    Shrinking averages over the area that a new pixel covers, so fine structure does not alias.
    What the picture does not cover is `outside`.
    """
    rows, columns = picture.shape
    side = max(rows, columns)
    square = np.full((side, side), outside, np.float32)
    top, left = _margins(rows, columns)
    square[top : top + rows, left : left + columns] = picture
    weights = _weights(side, size)
    return np.asarray(weights @ square @ weights.T, np.float32)


def undo_letterbox(square: Pixels, shape: tuple[int, int]) -> Pixels:
    """Interpolate a (size, size) map linearly onto the (rows, columns) grid `letterbox` came from."""
    rows, columns = shape
    weights = _weights(square.shape[0], max(shape))
    top, left = _margins(rows, columns)
    return np.asarray(weights[top : top + rows] @ square @ weights[left : left + columns].T, np.float32)


def stretch(picture: Pixels, shape: tuple[int, int]) -> Pixels:
    """Resample a (rows, columns) picture onto the whole of another shape, each side by its own factor.

    For pictures whose proportions mean nothing, because somebody squeezed them before. Shrinking
    averages, as in `letterbox`.
    """
    rows, columns = picture.shape
    return np.asarray(_weights(rows, shape[0]) @ picture @ _weights(columns, shape[1]).T, np.float32)


def _margins(rows: int, columns: int) -> tuple[int, int]:
    """Return the pixels added above and to the left to make a square."""
    side = max(rows, columns)
    return (side - rows) // 2, (side - columns) // 2


def _weights(source: int, target: int) -> NDArray[np.float32]:
    """Return the (target, source) weights of linear resampling; every row sums to one.

    Grids are aligned at their outer edges. The kernel is a triangle as wide as the coarser of the
    two grids, which is linear interpolation when enlarging and an average when shrinking.
    """
    step = source / target
    centres = (np.arange(target) + 0.5) * step - 0.5
    distances = np.abs(np.arange(source)[None, :] - centres[:, None]) / max(step, 1.0)
    weights = np.clip(1.0 - distances, 0.0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)
