"""Draws what lies below the diaphragm of a phantom, above all the gas that a threshold takes for lung."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from node.training.phantom_space import Space
from node.vocabulary import Mask

from .body import FAT_HU, MUSCLE_HU, Build
from .shapes import Field, add_ellipsoid, add_tube, oval, smooth_noise

BOWEL_LOOPS = 14


def draw_abdomen(hu: Field, space: Space, build: Build, chest: Mask, rng: Generator) -> None:
    """Fill the trunk below `chest` (lungs and all around them) with organs, fat and gas."""
    half_depth, half_width = build.inner
    trunk = oval(space, (0.0, 0.0), (np.float32(half_depth), np.float32(half_width)), 2.3) < 1.0
    inside = trunk & ~chest & (space.z < 5) & (hu < 75)
    share = rng.uniform(-0.8, 0.8)
    hu[inside] = np.where(smooth_noise(space, 22.0, rng)[inside] > share, FAT_HU, MUSCLE_HU)
    for organ, tissue in _organs(space, build, rng):
        hu[organ & inside] = tissue
    gas, fluid = _gas(space, build, rng)
    hu[fluid & inside] = rng.uniform(0, 60)
    hu[gas & inside] = rng.uniform(-1010, -850)


def _organs(space: Space, build: Build, rng: Generator) -> list[tuple[Mask, float]]:
    """Return liver, spleen and kidneys with their HU."""
    half_depth, half_width = build.inner
    enhanced = 0.25 * max(0.0, build.blood_hu - 50)
    places = (
        ((-45.0, -0.1 * half_depth, -0.42 * half_width), (75.0, 0.95 * half_depth, 0.75 * half_width), 55.0),
        ((-30.0, 0.4 * half_depth, 0.72 * half_width), (50.0, 0.5 * half_depth, 0.3 * half_width), 50.0),
        ((-120.0, 0.5 * half_depth, 0.42 * half_width), (50.0, 26.0, 28.0), 35.0),
        ((-125.0, 0.5 * half_depth, -0.42 * half_width), (50.0, 26.0, 28.0), 35.0),
    )
    organs = []
    for centre, radii, tissue in places:
        mask = np.zeros(space.shape, np.bool_)
        add_ellipsoid(mask, space, centre, radii)
        organs.append((mask, tissue + enhanced + rng.uniform(-12, 12)))
    return organs


def _gas(space: Space, build: Build, rng: Generator) -> tuple[Mask, Mask]:
    """Return gas and fluid in stomach and bowel; the stomach has a level, the bowel lies in loops."""
    half_depth, half_width = build.inner
    gas, fluid = np.zeros(space.shape, np.bool_), np.zeros(space.shape, np.bool_)
    size = rng.uniform(20, 55)
    place = (-size - rng.uniform(0, 25), -rng.uniform(0.0, 0.4) * half_depth, rng.uniform(0.3, 0.6) * half_width)
    add_ellipsoid(gas, space, place, (size, rng.uniform(0.6, 1.0) * size, rng.uniform(0.7, 1.2) * size))
    lower = gas & (space.y > place[1] + rng.uniform(-0.7, 0.9) * size)
    fluid |= lower
    gas &= ~lower
    for _ in range(int(rng.integers(0, BOWEL_LOOPS))):
        middle = (rng.uniform(-150, -25), rng.uniform(-0.9, 0.3) * half_depth, rng.uniform(-0.85, 0.85) * half_width)
        turn = rng.normal(0, 22, 3)
        end = (middle[0] + turn[0], middle[1] + turn[1], middle[2] + turn[2])
        add_tube(gas, space, [middle, end], (rng.uniform(6, 26), rng.uniform(5, 22)))
    return gas, fluid
