"""The geometry that the phantom is drawn with: a box of the patient in mm, solids in it, smooth noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.volume import Grid
from node.vocabulary import Mask

Field = NDArray[np.float32]
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
    def z(self) -> Field:
        """Return mm towards the head, (slices, 1, 1)."""
        return self._axis(0).reshape(-1, 1, 1)

    @cached_property
    def y(self) -> Field:
        """Return mm towards the back, (1, rows, 1)."""
        return self._axis(1).reshape(1, -1, 1)

    @cached_property
    def x(self) -> Field:
        """Return mm towards the patient's left, (1, 1, columns)."""
        return self._axis(2).reshape(1, 1, -1)

    @property
    def grid(self) -> Grid:
        """Return the same box as the node describes a volume."""
        z, y, x = self.steps_mm
        steps = ((0.0, 0.0, z), (0.0, y, 0.0), (x, 0.0, 0.0))
        return Grid(self.shape, (self.first_mm[2], self.first_mm[1], self.first_mm[0]), steps)

    def around(self, centre: Point, radius_mm: float) -> tuple[slice, slice, slice]:
        """Return the indices of the cube around a (z, y, x) place, cut at the edges of the box."""
        spans = []
        for middle, first, step, count in zip(centre, self.first_mm, self.steps_mm, self.shape, strict=True):
            low = int(np.floor((middle - radius_mm - first) / step))
            high = int(np.ceil((middle + radius_mm - first) / step)) + 1
            spans.append(slice(min(max(low, 0), count), min(max(high, 0), count)))
        return spans[0], spans[1], spans[2]

    def _axis(self, axis: int) -> Field:
        return np.asarray(self.first_mm[axis] + self.steps_mm[axis] * np.arange(self.shape[axis]), np.float32)


def oval(space: Space, centre: tuple[Field | float, Field | float], radii: tuple[Field, Field], power: float) -> Field:
    """Return how far out each voxel is in a (y, x) oval, 1 on its edge; centre and radii may depend on z.

    A power of 2 is an ellipse; more makes it squarer.
    """
    down = np.abs((space.y - centre[0]) / np.maximum(radii[0], 1e-3)) ** power
    across = np.abs((space.x - centre[1]) / np.maximum(radii[1], 1e-3)) ** power
    return np.asarray(down + across, np.float32)


def add_ellipsoid(mask: Mask, space: Space, centre: Point, radii: Point) -> None:
    """Set `mask` inside an ellipsoid with (z, y, x) centre and radii in mm."""
    cube = space.around(centre, max(radii))
    z, y, x = space.z[cube[0]], space.y[:, cube[1]], space.x[:, :, cube[2]]
    distance = ((z - centre[0]) / radii[0]) ** 2 + ((y - centre[1]) / radii[1]) ** 2 + ((x - centre[2]) / radii[2]) ** 2
    mask[cube] |= distance < 1.0


def add_tube(mask: Mask, space: Space, path: Sequence[Point], radii_mm: tuple[float, float]) -> None:
    """Set `mask` inside a tube along straight pieces; its radius changes evenly from first to last."""
    points = np.asarray(path, np.float32)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    count = max(2, int(along[-1] / max(1.0, 0.5 * min(radii_mm))))
    for at in np.linspace(0.0, along[-1], count):
        z, y, x = (float(np.interp(at, along, points[:, axis])) for axis in range(3))
        radius = float(np.interp(at, (0.0, along[-1]), radii_mm))
        add_ellipsoid(mask, space, (z, y, x), (radius, radius, radius))


def smooth_noise(space: Space, length_mm: float, rng: Generator) -> Field:
    """Return noise of about unit deviation that changes over `length_mm`."""
    shape = [max(2, int(count * step / length_mm) + 2) for count, step in zip(space.shape, space.steps_mm, strict=True)]
    coarse = SimpleITK.GetImageFromArray(rng.normal(0.0, 1.4, shape).astype(np.float32))
    spacing = [
        (fine - 1) / max(1, count - 1)
        for fine, count in zip(reversed(shape), reversed(space.shape), strict=True)
    ]
    size = list(reversed(space.shape))
    fine_image = SimpleITK.Resample(
        coarse, size, SimpleITK.Transform(), SimpleITK.sitkLinear, [0.0, 0.0, 0.0], spacing,
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    )
    return np.asarray(SimpleITK.GetArrayFromImage(fine_image), np.float32)
