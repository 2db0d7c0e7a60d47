"""Draws what lies inside the ribs of a phantom: diaphragm, mediastinum, heart, airways, lungs with their vessels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.training.phantom_space import Point, Space
from node.vocabulary import Mask

from .body import FAT_HU, MUSCLE_HU, Build
from .shapes import Field, add_ellipsoid, add_tube, oval, smooth_noise

WALL_MM = 2.0


@dataclass(frozen=True)
class Chest:
    """Where things are in one chest: `lungs` still holds vessels, `airways` is air that is no lung."""

    lungs: Mask
    airways: Mask
    midline: Field
    hila: tuple[Point, Point]


def draw_chest(hu: Field, space: Space, build: Build, cavity: Mask, rng: Generator) -> Chest:
    """Fill the cavity of `hu` with mediastinum, heart, airways and lungs, and return where they are."""
    shift = rng.normal(0, 5) if rng.random() < 0.8 else rng.uniform(-25, 25)
    midline = np.asarray(shift + 4.0 * np.sin(space.z / 60 + rng.uniform(0, 6)), np.float32)
    above = _above_diaphragm(space, build, rng)
    middle = _mediastinum(space, build, midline, rng)
    thorax = cavity & above
    hu[thorax] = np.where(smooth_noise(space, 9.0, rng)[thorax] > rng.uniform(-0.5, 1.0), FAT_HU, MUSCLE_HU)
    middle |= _add_heart(hu, space, build, thorax, rng)
    lungs = thorax & ~middle & (hu < 70)
    airways, walls, hila = _airways(space, build, midline, rng)
    lungs &= ~(airways | walls)
    hu[lungs] = lung_tissue(space, build, rng)[lungs]
    hu[walls & above] = MUSCLE_HU
    vessels = _vessels(space, build, hila, rng) & lungs
    hu[vessels] = min(build.blood_hu, 200.0) - rng.uniform(0, 40)
    hu[airways] = rng.uniform(-1010, -940)
    _add_gullet(hu, space, build, lungs | airways, rng)
    return Chest(lungs, airways, midline, hila)


def lung_tissue(space: Space, build: Build, rng: Generator) -> Field:
    """Return HU of aerated lung: denser towards the back, where it hangs, and uneven."""
    mean, slope = rng.uniform(-930, -680), rng.uniform(0.0, 130.0)
    uneven = rng.uniform(5, 35) * smooth_noise(space, 25.0, rng) + rng.uniform(5, 40) * smooth_noise(space, 4.0, rng)
    return np.asarray(mean + slope * space.y / build.half_depth + uneven, np.float32)


def _above_diaphragm(space: Space, build: Build, rng: Generator) -> Mask:
    """Return what lies above the two domes, which fall off to the sides and, deepest, to the back."""
    half_depth, half_width = build.inner
    fall = rng.uniform(0.25, 1.0) * rng.uniform(50, 80)
    raised = rng.uniform(20, 80, 2) * (rng.random(2) < 0.1)  # a paralysed half, or a lung that shrank
    tops = (raised[0], raised[1] - rng.uniform(-5, 25))
    ripple = rng.uniform(0, 5) * np.sin(space.x / 17 + rng.uniform(0, 6)) * np.cos(space.y / 23)
    down = (space.y + rng.uniform(0.0, 0.3) * half_depth) / (1.1 * half_depth)
    down = np.where(down < 0, 0.6 * down, down)
    surface = np.full((1, *space.shape[1:]), -np.inf)
    for side, top in zip((-1.0, 1.0), tops, strict=True):
        across = (side * space.x - 0.5 * half_width) / (0.55 * half_width)
        across = np.where(across < 0, 0.5 * across, across)
        surface = np.where(side * space.x >= 0, top - fall * (across**2 + down**2), surface)
    return np.asarray(space.z > surface + ripple)


def _mediastinum(space: Space, build: Build, midline: Field, rng: Generator) -> Mask:
    """Return what lies between the lungs; in a third of patients they meet in front of it."""
    half_depth, half_width = build.inner
    meets = rng.random() < 0.35
    front = rng.uniform(0.0, 1.2) if meets else rng.uniform(3, 22)
    widths = [front, front, rng.uniform(20, 38), rng.uniform(20, 36), rng.uniform(17, 24), rng.uniform(19, 26)]
    depths = np.array([-1.0, -0.65, -0.25, 0.3, 0.6, 1.0]) * half_depth
    width = np.interp(space.y, depths, widths).astype(np.float32)
    fit = 0.55 + 0.45 * np.clip(half_width / 130, 0.7, 1.2)
    up = np.clip(space.z / build.height, 0, 1)
    width = width * fit * (1.0 + rng.uniform(0.0, 0.5) * np.clip(up - 0.75, 0, 1) * 4)
    bumps = 1.0 + 0.15 * np.sin(space.z / rng.uniform(11, 25) + rng.uniform(0, 6))
    return np.asarray(np.abs(space.x - midline) < width * bumps)


def _add_heart(hu: Field, space: Space, build: Build, thorax: Mask, rng: Generator) -> Mask:
    """Add the heart, low and to the left, the aorta and a vein, and return what they take up."""
    half_depth, half_width = build.inner
    blood = np.zeros(space.shape, np.bool_)
    size = rng.uniform(0.38, 0.58) * half_width
    place = (rng.uniform(5, 40), -rng.uniform(0.1, 0.4) * half_depth, rng.uniform(0.1, 0.35) * half_width)
    add_ellipsoid(blood, space, place, (rng.uniform(45, 75), rng.uniform(0.4, 0.6) * half_depth, size))
    arch, left, spine = rng.uniform(0.6, 0.72) * build.height, rng.uniform(14, 26), half_depth - 32
    radius = rng.uniform(9, 16)
    path = [(-140.0, spine, left), (arch, spine - 5, left), (arch + 15, 0.0, left - 5), (arch - 20, -20.0, -5.0),
            (40.0, -15.0, 5.0)]
    add_tube(blood, space, path, (radius, radius + 4))
    add_tube(blood, space, [(0.9 * build.height, -15.0, -25.0), (30.0, -5.0, -30.0)], (8.0, 11.0))
    blood &= thorax
    hu[blood] = build.blood_hu
    rim = oval(space, (place[1], place[2]), (np.float32(0.66 * half_depth), np.float32(size + 6)), 2.0) < 1.0
    fat = rim & thorax & ~blood & (np.abs(space.z - place[0]) < 40)
    is_padded = rng.random() < 0.4
    if not is_padded:
        return blood
    hu[fat] = FAT_HU
    return blood | fat


def _airways(space: Space, build: Build, midline: Field, rng: Generator) -> tuple[Mask, Mask, tuple[Point, Point]]:
    """Return the air in windpipe and main bronchi, their walls, and where the bronchi enter the lungs."""
    half_depth, half_width = build.inner
    split = rng.uniform(0.5, 0.62) * build.height
    carina = (split, rng.uniform(0.0, 0.3) * half_depth, float(np.median(midline)) - 3)
    top = (build.height + 70, carina[1] - rng.uniform(0, 25), carina[2] + rng.normal(0, 5))
    hila = (
        (split - rng.uniform(18, 35), carina[1], carina[2] - rng.uniform(0.3, 0.42) * half_width),
        (split - rng.uniform(22, 40), carina[1] + 6, carina[2] + rng.uniform(0.34, 0.46) * half_width),
    )
    wide, narrow = rng.uniform(7, 11), rng.uniform(4.5, 7)
    masks = []
    for wall in (0.0, WALL_MM):
        mask = np.zeros(space.shape, np.bool_)
        add_tube(mask, space, [top, carina], (wide + wall, wide + wall))
        for hilum in hila:
            add_tube(mask, space, [carina, hilum], (0.75 * wide + wall, narrow + wall))
        masks.append(mask)
    return masks[0], masks[1] & ~masks[0], hila


def _vessels(space: Space, build: Build, hila: tuple[Point, Point], rng: Generator) -> Mask:
    """Return vessels that leave each hilum and taper towards the ribs; they are part of the lung."""
    vessels = np.zeros(space.shape, np.bool_)
    for side, hilum in zip((-1.0, 1.0), hila, strict=True):
        for _ in range(int(rng.integers(12, 26))):
            end = (
                rng.uniform(-60, 0.95 * build.height),
                rng.uniform(-0.9, 0.95) * build.inner[0],
                side * rng.uniform(0.3, 0.95) * build.inner[1],
            )
            bend = tuple((a + b) / 2 + rng.normal(0, 12) for a, b in zip(hilum, end, strict=True))
            add_tube(vessels, space, [hilum, (bend[0], bend[1], bend[2]), end], (rng.uniform(3, 7), 1.2))
    return vessels


def _add_gullet(hu: Field, space: Space, build: Build, elsewhere: Mask, rng: Generator) -> None:
    """Add air in the gullet in some patients: as dark as lung, small, and in front of the spine."""
    if rng.random() < 0.6:
        return
    air = np.zeros(space.shape, np.bool_)
    at, back = rng.uniform(0, build.height), build.inner[0] - 42
    add_tube(air, space, [(at, back, 4.0), (at + rng.uniform(20, 80), back, 2.0)], (rng.uniform(2, 8), 3.0))
    hu[air & ~elsewhere] = -950.0
