"""The box of the patient, in mm, that phantoms are drawn in before a made-up scanner sees them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from node.imaging.volume import Grid
from node.vocabulary import Pixels

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Space:
    """A box of voxels aligned with the patient: slices to the head, rows to the back, columns to the left.

    `first_mm` and `steps_mm` are (z, y, x) of the centre of voxel 0 and of one step.
    """

    shape: tuple[int, int, int]
    first_mm: Point
    steps_mm: Point

    @cached_property
    def z(self) -> Pixels:
        """Return mm towards the head, (slices, 1, 1)."""
        return self._axis(0).reshape(-1, 1, 1)

    @cached_property
    def y(self) -> Pixels:
        """Return mm towards the back, (1, rows, 1)."""
        return self._axis(1).reshape(1, -1, 1)

    @cached_property
    def x(self) -> Pixels:
        """Return mm towards the patient's left, (1, 1, columns)."""
        return self._axis(2).reshape(1, 1, -1)

    @property
    def grid(self) -> Grid:
        """Return the same box as the node describes a volume."""
        z, y, x = self.steps_mm
        steps = ((0.0, 0.0, z), (0.0, y, 0.0), (x, 0.0, 0.0))
        return Grid(self.shape, (self.first_mm[2], self.first_mm[1], self.first_mm[0]), steps)

    def around(self, low_mm: NDArray[np.float64], high_mm: NDArray[np.float64]) -> tuple[slice, slice, slice]:
        """Return the indices of the voxels between two (z, y, x) corners, cut at the edges of the box."""
        first = np.floor((low_mm - np.array(self.first_mm)) / self.steps_mm).astype(int)
        last = np.ceil((high_mm - np.array(self.first_mm)) / self.steps_mm).astype(int) + 1
        spans = [
            slice(min(max(int(start), 0), count), min(max(int(end), 0), count))
            for start, end, count in zip(first, last, self.shape, strict=True)
        ]
        return spans[0], spans[1], spans[2]

    def _axis(self, axis: int) -> Pixels:
        return np.asarray(self.first_mm[axis] + self.steps_mm[axis] * np.arange(self.shape[axis]), np.float32)
