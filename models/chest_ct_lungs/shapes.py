"""The solids that the phantom is drawn with, and smooth noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.training.phantom_space import Point, Space
from node.vocabulary import Mask

Field = NDArray[np.float32]


def oval(space: Space, centre: tuple[Field | float, Field | float], radii: tuple[Field, Field], power: float) -> Field:
    """Return how far out each voxel is in a (y, x) oval, 1 on its edge; centre and radii may depend on z.

    A power of 2 is an ellipse; more makes it squarer.
    """
    down = np.abs((space.y - centre[0]) / np.maximum(radii[0], 1e-3)) ** power
    across = np.abs((space.x - centre[1]) / np.maximum(radii[1], 1e-3)) ** power
    return np.asarray(down + across, np.float32)


def add_ellipsoid(mask: Mask, space: Space, centre: Point, radii: Point) -> None:
    """Set `mask` inside an ellipsoid with (z, y, x) centre and radii in mm."""
    widest = max(radii)
    cube = space.around(np.array(centre) - widest, np.array(centre) + widest)
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
