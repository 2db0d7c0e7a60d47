"""Cuts a picture or volume into overlapping windows for a network, and puts its answers together again.

The two halves are called by a model's `prepare` and `interpret`, with the network between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from node.imaging.patches import Corner, cut_patch
from node.vocabulary import Pixels

# The weight of a window falls off as a Gaussian whose deviation is this part of its side, as in nnU-Net
# (Isensee F et al., Nature Methods 18, 2021); at the corners it stays high enough to divide by.
DEVIATION = 1 / 8
LEAST_WEIGHT = 1e-3


@dataclass(frozen=True)
class SlidingWindow:
    """Windows of `size` voxels, neighbours sharing at least the part `overlap` of their side.

    Windows lie evenly over each axis and within it; an axis shorter than the window has one, in the
    middle, and what it does not cover is filled in.
    """

    size: tuple[int, ...]
    overlap: float = 0.5

    def corners(self, shape: tuple[int, ...]) -> list[Corner]:
        """Return where the windows over axes of this `shape` begin, the last axis changing fastest."""
        starts = [self._starts(side, length) for side, length in zip(shape, self.size, strict=True)]
        return list(product(*starts))

    def cut(self, voxels: Pixels, outside: float = 0.0) -> Pixels:
        """Return (windows, *size, channels) of voxels (…, channels)."""
        corners = self.corners(voxels.shape[: len(self.size)])
        return np.stack([cut_patch(voxels, corner, self.size, outside) for corner in corners])

    def join(self, windows: Pixels, shape: tuple[int, ...]) -> Pixels:
        """Return (*shape, channels), the mean of all windows over a voxel, those it is central in counting most.

        `windows` are (windows, *size, channels) in the order of `cut`. A network that changes nothing
        gives back what was cut.
        """
        channels = windows.shape[len(self.size) + 1 :]
        total = np.zeros((*shape, *channels), np.float32)
        weight = np.zeros((*shape, *[1] * len(channels)), np.float32)
        own = self.weights.reshape((*self.size, *[1] * len(channels)))
        for window, (whole, part) in zip(windows, self._places(shape), strict=True):
            total[whole] += (window * own)[part]
            weight[whole] += own[part]
        total /= weight
        return total

    @cached_property
    def weights(self) -> Pixels:
        """Return how much each voxel of a window counts, (*size), at most 1."""
        weights = np.ones(self.size, np.float32)
        for axis, length in enumerate(self.size):
            distance = (np.arange(length) - (length - 1) / 2) / (DEVIATION * length)
            along = np.exp(-(distance**2) / 2)
            weights *= along.reshape([-1 if other == axis else 1 for other in range(len(self.size))])
        return np.asarray(np.maximum(weights, LEAST_WEIGHT), np.float32)

    def _starts(self, side: int, length: int) -> list[int]:
        if side <= length:
            return [(side - length) // 2]
        step = max(1.0, length * (1.0 - self.overlap))
        count = int(np.ceil((side - length) / step)) + 1
        return [int(start) for start in np.rint(np.linspace(0, side - length, count))]

    def _places(self, shape: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Yield for each window where it lies in the whole, and which part of it does."""
        for corner in self.corners(shape):
            whole, part = [], []
            for first, side, length in zip(corner, shape, self.size, strict=True):
                start, stop = max(0, first), min(side, first + length)
                whole.append(slice(start, stop))
                part.append(slice(start - first, stop - first))
            yield tuple(whole), tuple(part)
