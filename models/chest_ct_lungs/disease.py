"""Draws disease into the lungs of a phantom: what makes a lung hard to see, and what is lung no more."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from node.training.phantom_space import Point, Space
from node.vocabulary import Mask

from .body import Build
from .chest import Chest
from .shapes import Field, add_ellipsoid, smooth_noise


def add_disease(hu: Field, space: Space, build: Build, chest: Chest, rng: Generator) -> Mask:
    """Add a random choice of diseases to `hu`, and return the lungs less any fluid around them."""
    lungs = chest.lungs
    if rng.random() < 0.35:
        _add_emphysema(hu, space, lungs, rng)
    if rng.random() < 0.4:
        _add_ground_glass(hu, space, lungs, rng)
    if rng.random() < 0.2:
        _add_fibrosis(hu, space, build, lungs, rng)
    if rng.random() < 0.45:
        _add_consolidation(hu, space, build, lungs, rng)
    if rng.random() < 0.5:
        _add_nodules(hu, space, build, lungs, rng)
    if rng.random() < 0.25:
        return _without_effusion(hu, space, build, chest, rng)
    return lungs


def _add_emphysema(hu: Field, space: Space, lungs: Mask, rng: Generator) -> None:
    """Add holes of almost pure air."""
    holes = lungs & (smooth_noise(space, rng.uniform(5, 25), rng) > rng.uniform(-0.3, 1.5)) & (hu < -500)
    hu[holes] = rng.uniform(-1000, -960)


def _add_ground_glass(hu: Field, space: Space, lungs: Mask, rng: Generator) -> None:
    """Add haze through which vessels stay visible."""
    haze = lungs & (smooth_noise(space, rng.uniform(20, 60), rng) > rng.uniform(-0.5, 1.2)) & (hu < -500)
    hu[haze] += rng.uniform(80, 450)


def _add_fibrosis(hu: Field, space: Space, build: Build, lungs: Mask, rng: Generator) -> None:
    """Add a net of scars below the pleura at the back."""
    low = (space.z < 0.6 * build.height) & (space.y > rng.uniform(-0.2, 0.4) * build.inner[0])
    net = lungs & low & (np.abs(smooth_noise(space, 5.0, rng)) < rng.uniform(0.15, 0.5))
    hu[net] = rng.uniform(-400, 0)


def _add_consolidation(hu: Field, space: Space, build: Build, lungs: Mask, rng: Generator) -> None:
    """Add solid patches, mostly low and at the back, which are still lung."""
    solid = np.zeros(space.shape, np.bool_)
    for _ in range(int(rng.integers(1, 4))):
        size = rng.uniform(12, 45)
        add_ellipsoid(solid, space, _place(build, rng), (size, rng.uniform(0.6, 1.2) * size, size))
    solid &= lungs & (smooth_noise(space, 12.0, rng) > rng.uniform(-1.5, 0.2))
    hu[solid] = rng.uniform(-40, 60)


def _add_nodules(hu: Field, space: Space, build: Build, lungs: Mask, rng: Generator) -> None:
    """Add round nodules, and now and then a mass."""
    solid = np.zeros(space.shape, np.bool_)
    for _ in range(int(rng.integers(1, 7))):
        radius = rng.uniform(2, 9) if rng.random() < 0.85 else rng.uniform(12, 28)
        add_ellipsoid(solid, space, _place(build, rng), (radius, radius, radius))
    hu[solid & lungs] = rng.uniform(10, 70)


def _without_effusion(hu: Field, space: Space, build: Build, chest: Chest, rng: Generator) -> Mask:
    """Add fluid that lies at the back of one or both sides, and return the lungs without it."""
    sides = np.broadcast_to(space.x < chest.midline, space.shape)
    which = rng.integers(0, 3)
    affected = np.ones_like(sides) if which == 2 else (sides if which == 0 else ~sides)
    level = rng.uniform(0.1, 0.9) * build.inner[0] + 0.12 * (space.z - rng.uniform(-40, 40))
    curve = 0.0015 * (np.abs(space.x) - 0.5 * build.inner[1]) ** 2
    fluid = chest.lungs & affected & (space.y > level - curve)
    hu[fluid] = rng.uniform(-5, 30)
    return np.asarray(chest.lungs & ~fluid)


def _place(build: Build, rng: Generator) -> Point:
    """Return a place anywhere in the cavity, more often low and at the back."""
    return (
        float(rng.triangular(-60, 0.2 * build.height, build.height)),
        float(rng.triangular(-1.0, 0.5, 1.0) * build.inner[0]),
        float(rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 1.0) * build.inner[1]),
    )
