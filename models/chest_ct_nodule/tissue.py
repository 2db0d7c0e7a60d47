"""The cubes that chests and nodules are drawn in, smooth noise, and tubes that fill voxels in part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.training.phantom_space import Space

Field = NDArray[np.float32]
Points = NDArray[np.float64]


class Box(Space):
    """A space of cubes."""

    @property
    def step_mm(self) -> float:
        """Return how far apart the voxels are, along every axis."""
        return self.steps_mm[0]


def smooth_noise(shape: Sequence[int], cell: float, rng: Generator) -> Field:
    """Return noise of about unit deviation that changes over `cell` voxels."""
    coarse_shape = [max(2, int(count / cell) + 3) for count in shape]
    coarse = SimpleITK.GetImageFromArray(rng.normal(0.0, 1.4, coarse_shape).astype(np.float32))
    start = [float(value) for value in rng.uniform(0.0, 0.9, 3)]
    size = [int(count) for count in reversed(shape)]
    fine = SimpleITK.Resample(
        coarse, size, SimpleITK.Transform(), SimpleITK.sitkLinear, start, [1.0 / cell] * 3,
        [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    )
    return np.asarray(SimpleITK.GetArrayFromImage(fine), np.float32)


def fill_tube(share: Field, box: Box, ends: tuple[Points, Points], radii_mm: tuple[float, float]) -> None:
    """Raise `share` to the part of each voxel that a straight tube between two (z, y, x) ends fills.

    The radius changes evenly from end to end. A tube thinner than a voxel fills as much of it as its
    cross-section covers.
    """
    start, end = ends
    widest = max(radii_mm) + box.step_mm
    cut = box.around(np.minimum(start, end) - widest, np.maximum(start, end) + widest)
    z, y, x = box.z[cut[0]], box.y[:, cut[1]], box.x[:, :, cut[2]]
    along = end - start
    length2 = float(along @ along) or 1e-9
    at = np.clip(((z - start[0]) * along[0] + (y - start[1]) * along[1] + (x - start[2]) * along[2]) / length2, 0, 1)
    dz, dy, dx = z - start[0] - at * along[0], y - start[1] - at * along[1], x - start[2] - at * along[2]
    distance = np.sqrt(dz * dz + dy * dy + dx * dx)
    radius = radii_mm[0] + at * (radii_mm[1] - radii_mm[0])
    covered = np.minimum(1.0, np.pi * (radius / box.step_mm) ** 2)
    filled = np.clip(0.5 + (np.maximum(radius, 0.5 * box.step_mm) - distance) / box.step_mm, 0.0, 1.0) * covered
    share[cut] = np.maximum(share[cut], filled)
