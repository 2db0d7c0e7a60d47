"""Draws what surrounds the chest of a phantom: skin, fat, muscle, bones, arms, clothes and the table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.training.phantom_space import Space
from node.vocabulary import Mask

from .shapes import Field, add_ellipsoid, add_tube, oval, smooth_noise

AIR_HU, FAT_HU, MUSCLE_HU = -1000.0, -105.0, 45.0
BELOW_MM, ABOVE_MM = 150.0, 60.0


@dataclass(frozen=True)
class Build:
    """The build of one made-up patient, lengths in mm.

    z is 0 at the top of the right half of the diaphragm, `height` at the tip of the lungs; y is 0 in
    the middle of the chest. `half_width` and `half_depth` are those of the skin at the chest.
    """

    height: float
    half_width: float
    half_depth: float
    fat: float
    muscle: float
    squareness: float
    arms_up: bool
    blood_hu: float

    @property
    def inner(self) -> tuple[float, float]:
        """Return half the depth and half the width of the cavity inside the ribs."""
        return (
            self.half_depth - 0.8 * self.fat - self.muscle,
            self.half_width - self.fat - self.muscle,
        )


def draw_build(rng: Generator) -> Build:
    """Draw the build of an adult, from slender to very heavy."""
    fat = float(rng.uniform(4, 20) if rng.random() < 0.7 else rng.uniform(20, 50))
    muscle = float(rng.uniform(14, 28))
    return Build(
        height=float(rng.uniform(170, 290)),
        half_width=float(rng.uniform(105, 155)) + fat + muscle,
        half_depth=float(rng.uniform(72, 112)) + 0.8 * fat + muscle,
        fat=fat,
        muscle=muscle,
        squareness=float(rng.uniform(2.0, 2.9)),
        arms_up=bool(rng.random() < 0.75),
        blood_hu=float(rng.uniform(35, 55) if rng.random() < 0.5 else rng.uniform(120, 380)),
    )


def body_space(build: Build, steps_mm: tuple[float, float, float]) -> Space:
    """Return a box from the upper abdomen to the neck, wide enough for arms and table."""
    lengths = (BELOW_MM + build.height + ABOVE_MM, 2 * build.half_depth + 110, 2 * build.half_width + 150)
    first = (-BELOW_MM, -build.half_depth - 35, -lengths[2] / 2)
    depth, down, across = (int(length / step) + 1 for length, step in zip(lengths, steps_mm, strict=True))
    return Space((depth, down, across), first, steps_mm)


def draw_body(space: Space, build: Build, rng: Generator) -> tuple[Field, Mask]:
    """Return HU of a body that is soft tissue inside, and the cavity that the ribs enclose."""
    hu = np.full(space.shape, AIR_HU, np.float32)
    skin = _outline(space, build, 0.0)
    _add_table(hu, space, build, rng)
    _add_clothes(hu, space, build, rng)
    _add_arms(hu, space, build, skin < 1.0, rng)
    _add_breasts(hu, space, build, skin < 1.0, rng)
    hu[skin < 1.0] = FAT_HU
    muscle = _outline(space, build, build.fat) < 1.0
    hu[muscle] = MUSCLE_HU
    cavity_distance = _cavity_distance(space, build, rng)
    cavity = cavity_distance < 1.0
    _add_ribs(hu, space, build, cavity_distance, rng)
    _add_spine(hu, space, build, rng)
    hu[skin < 1.0] += (12.0 * smooth_noise(space, 12.0, rng))[skin < 1.0]
    return hu, cavity


def _outline(space: Space, build: Build, depth_mm: float) -> Field:
    """Return how far out each voxel is in the surface `depth_mm` below the skin."""
    levels = np.array([-BELOW_MM, 0.0, 0.7 * build.height, build.height - 5, build.height + 35])
    shoulder = build.half_width * (1.0 if build.arms_up else 1.15)
    widths = np.array([build.half_width * 0.97, build.half_width, build.half_width, shoulder, 68.0])
    depths = np.array([build.half_depth * 1.03, build.half_depth, build.half_depth, 0.85 * build.half_depth, 66.0])
    radii = tuple(np.interp(space.z, levels, values - depth_mm).astype(np.float32) for values in (depths, widths))
    return oval(space, (0.0, 0.0), (radii[0], radii[1]), build.squareness)


def _cavity_distance(space: Space, build: Build, rng: Generator) -> Field:
    """Return how far out each voxel is in the cavity inside the ribs, which ends in a dome above."""
    half_depth, half_width = build.inner
    up = np.clip(space.z / build.height, 0.0, 1.0)
    taper_across = np.sqrt(np.clip(1.0 - up ** rng.uniform(2.5, 4.5), 0.0, 1.0))
    taper_down = np.sqrt(np.clip(1.0 - up ** rng.uniform(3.0, 6.0), 0.0, 1.0))
    lean = rng.uniform(0.0, 0.35) * half_depth * up**2
    return oval(space, (lean, 0.0), (half_depth * taper_down, half_width * taper_across), rng.uniform(2.0, 2.7))


def _add_ribs(hu: Field, space: Space, build: Build, cavity_distance: Field, rng: Generator) -> None:
    """Add slanting hoops just outside the cavity, and the breastbone in front of it."""
    thickness = rng.uniform(7.0, 12.0) / min(build.inner)
    edge = 2.2 * thickness
    pitch, slant = rng.uniform(22, 32), rng.uniform(0.3, 0.8)
    phase = np.sin(2 * np.pi * (space.z + slant * space.y + 0.1 * np.abs(space.x)) / pitch + rng.uniform(0, 6))
    hoop = (cavity_distance >= 1.0) & (cavity_distance < 1.0 + edge) & (phase > rng.uniform(0.1, 0.5))
    hu[hoop] = rng.uniform(150, 500)
    breastbone = np.zeros(space.shape, np.bool_)
    front = -build.inner[0] - 8
    path = [(0.25 * build.height, front, 0.0), (0.85 * build.height, 0.75 * front, 0.0)]
    add_tube(breastbone, space, path, (9.0, 11.0))
    hu[breastbone & (cavity_distance >= 1.0)] = rng.uniform(80, 300)


def _add_spine(hu: Field, space: Space, build: Build, rng: Generator) -> None:
    """Add vertebrae with a canal and spinous processes at the back of the cavity."""
    middle, radius = build.inner[0] - rng.uniform(2, 10), rng.uniform(17, 23)
    body = np.broadcast_to((space.y - middle) ** 2 + space.x**2 < radius**2, space.shape)
    disc = np.broadcast_to(np.sin(2 * np.pi * space.z / rng.uniform(24, 32)) > 0.85, space.shape)
    hu[body] = rng.uniform(120, 280)
    hu[body & ~disc & np.broadcast_to((space.y - middle) ** 2 + space.x**2 > (radius - 4) ** 2, space.shape)] = 450.0
    hu[body & disc] = 80.0
    back = middle + radius
    process = (np.abs(space.x) < 5) & (space.y > back + 14) & (space.y < back + 34) & (np.sin(space.z / 4.5) > 0)
    hu[np.broadcast_to(process, space.shape)] = 300.0
    arch = (np.abs(space.x) < 26) & (space.y > back) & (space.y < back + 14)
    hu[np.broadcast_to(arch, space.shape)] = 250.0
    hu[np.broadcast_to((space.y - back - 7) ** 2 + space.x**2 < 64, space.shape)] = 15.0


def _add_table(hu: Field, space: Space, build: Build, rng: Generator) -> None:
    """Add the table below the back: a hard shell with foam in it."""
    top = build.half_depth + rng.uniform(0, 6)
    sag = top - rng.uniform(0.0, 0.0012) * space.x**2
    below = np.broadcast_to(space.y - sag, space.shape)
    table = np.broadcast_to(np.abs(space.x) < rng.uniform(180, 260), space.shape) & (below > 0)
    hu[table & (below < rng.uniform(15, 45))] = rng.uniform(-990, -880)
    hu[table & (below < rng.uniform(3, 6))] = rng.uniform(-400, 150)


def _add_clothes(hu: Field, space: Space, build: Build, rng: Generator) -> None:
    """Add cloth with folds in half of the patients."""
    if rng.random() < 0.5:
        cloth = _outline(space, build, -rng.uniform(4, 10))
        hu[(cloth < 1.0) & (smooth_noise(space, 40.0, rng) > 0)] = rng.uniform(-980, -600)


def _add_arms(hu: Field, space: Space, build: Build, inside: Mask, rng: Generator) -> None:
    """Add arms that hang down beside the trunk or are held up beside the head."""
    arms = np.zeros(space.shape, np.bool_)
    bones = np.zeros(space.shape, np.bool_)
    for side in (-1.0, 1.0):
        shoulder = (build.height - 10, 0.0, side * build.half_width)
        hanging = (-BELOW_MM, rng.uniform(-30, 40), side * (build.half_width + 42))
        end = (build.height + ABOVE_MM + 20, -20.0, side * 120.0) if build.arms_up else hanging
        add_tube(arms, space, [shoulder, end], (rng.uniform(38, 55), rng.uniform(30, 42)))
        add_tube(bones, space, [shoulder, end], (16.0, 11.0))
    hu[arms & ~inside] = MUSCLE_HU
    hu[bones & ~inside] = 500.0


def _add_breasts(hu: Field, space: Space, build: Build, inside: Mask, rng: Generator) -> None:
    """Add breasts in half of the patients."""
    breast = np.zeros(space.shape, np.bool_)
    if rng.random() < 0.5:
        size = rng.uniform(25, 60)
        for side in (-1.0, 1.0):
            place = (0.4 * build.height, -build.half_depth + 12, side * 0.5 * build.half_width)
            add_ellipsoid(breast, space, place, (size, 0.7 * size, size))
    tissue_hu = FAT_HU + rng.uniform(0, 60)
    hu[breast & ~inside] = tissue_hu
