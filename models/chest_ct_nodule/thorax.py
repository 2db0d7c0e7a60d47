"""Draws a made-up chest without a nodule: walls, mediastinum, diaphragm and lungs with all that resembles nodules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from node.vocabulary import Mask

from .branches import draw_airways, draw_tree, grow_tree
from .tissue import Box, Field, Points, fill_tube, smooth_noise

AIR_HU, FAT_HU, MUSCLE_HU = -1000.0, -100.0, 45.0
BELOW_MM = 35.0


@dataclass(frozen=True)
class Build:
    """Lengths in mm of one made-up patient; z is 0 at the right dome of the diaphragm, `height` at the tips."""

    height: float
    half_depth: float
    half_width: float
    wall: float
    fat: float
    blood_hu: float


@dataclass(frozen=True)
class Thorax:
    """A drawn chest: HU, and where aerated lung with its vessels is."""

    box: Box
    hu: Field
    lungs: Mask


def draw_thorax(step_mm: float, rng: Generator) -> Thorax:
    """Return a chest as it is before any scanner blurs it or adds noise."""
    build = _draw_build(rng)
    box = _box(build, step_mm)
    hu, cavity = _draw_wall(box, build, rng)
    middle = _draw_mediastinum(hu, box, build, cavity, rng)
    lungs = cavity & ~middle & _above_diaphragm(box, build, rng)
    hu[lungs] = _lung_tissue(box, build, rng)[lungs]
    _add_fissures(hu, lungs, box, build, rng)
    for side in (-1.0, 1.0):
        here = lungs & np.broadcast_to(side * box.x > 0, box.shape)
        _add_branches(Thorax(box, hu, here), build, side, rng)
    _add_bands(hu, lungs, box, rng)
    return Thorax(box, hu, lungs)


def _draw_build(rng: Generator) -> Build:
    return Build(
        height=float(rng.uniform(170, 260)),
        half_depth=float(rng.uniform(70, 105)),
        half_width=float(rng.uniform(105, 145)),
        wall=float(rng.uniform(14, 24)),
        fat=float(rng.uniform(4, 25)),
        blood_hu=float(rng.uniform(30, 60) if rng.random() < 0.5 else rng.uniform(100, 300)),
    )


def _box(build: Build, step_mm: float) -> Box:
    skin = build.wall + build.fat + 12.0
    lengths = (BELOW_MM + build.height + 20.0, 2 * (build.half_depth + skin), 2 * (build.half_width + skin))
    counts = [int(length / step_mm) + 1 for length in lengths]
    first = (-BELOW_MM, -lengths[1] / 2, -lengths[2] / 2)
    return Box((counts[0], counts[1], counts[2]), first, (step_mm, step_mm, step_mm))


def _draw_wall(box: Box, build: Build, rng: Generator) -> tuple[Field, Mask]:
    """Return HU of skin, fat, muscle, ribs and spine, and the cavity inside the ribs."""
    hu = np.full(box.shape, AIR_HU, np.float32)
    outer = build.wall + build.fat
    power = float(rng.uniform(2.0, 2.6))
    for depth, tissue in ((outer, FAT_HU), (build.wall, MUSCLE_HU)):
        down, across = np.abs(box.y) / (build.half_depth + depth), np.abs(box.x) / (build.half_width + depth)
        skin = down**power + across**power
        hu[np.broadcast_to(skin < 1.0, box.shape)] = tissue
    inward = _cavity_depth(box, build, power, rng)
    ribs = _rib_pattern(box, rng)
    # Ribs press a little into the lung, and pleura is nowhere quite smooth.
    cavity = inward > rng.uniform(0.0, 3.0) * np.maximum(ribs, 0.0) + rng.uniform(0.0, 1.2) * smooth_noise(
        box.shape, 12.0 / box.step_mm, rng
    )
    hu[(inward < -1.0) & (inward > -rng.uniform(7.0, 11.0)) & (ribs > rng.uniform(0.0, 0.4))] = rng.uniform(150, 600)
    _add_spine(hu, box, build, rng)
    return hu, cavity & (hu < 100)


def _cavity_depth(box: Box, build: Build, power: float, rng: Generator) -> Field:
    """Return mm inside the pleura, negative outside; the cavity narrows towards the tips."""
    up = np.clip(box.z / build.height, 0.0, 1.0)
    taper = np.sqrt(np.clip(1.0 - up ** rng.uniform(2.6, 4.5), 1e-4, 1.0))
    lean = rng.uniform(0.0, 0.3) * build.half_depth * up**2
    across = np.abs(box.x) / (build.half_width * taper)
    down = np.abs(box.y - lean) / (build.half_depth * taper)
    out = (across**power + down**power) ** (1.0 / power)
    return np.asarray((1.0 - out) * build.half_depth * taper, np.float32)


def _rib_pattern(box: Box, rng: Generator) -> Field:
    """Return waves down the chest that are positive at ribs."""
    pitch, slant = rng.uniform(24, 34), rng.uniform(0.25, 0.8)
    along = box.z + slant * box.y + 0.1 * np.abs(box.x)
    return np.asarray(np.sin(2 * np.pi * along / pitch + rng.uniform(0, 6)), np.float32)


def _add_spine(hu: Field, box: Box, build: Build, rng: Generator) -> None:
    middle, radius = build.half_depth - rng.uniform(0, 8), rng.uniform(16, 22)
    bulge = rng.uniform(0.0, 3.0) * np.maximum(0.0, np.sin(2 * np.pi * box.z / rng.uniform(24, 32)))
    body = np.broadcast_to((box.y - middle) ** 2 + box.x**2 < (radius + bulge) ** 2, box.shape)
    hu[body] = rng.uniform(120, 350)


def _draw_mediastinum(hu: Field, box: Box, build: Build, cavity: Mask, rng: Generator) -> Mask:
    """Fill the cavity with soft tissue, draw heart, aorta and windpipe, and return what is no lung."""
    shift = rng.normal(0, 4)
    depths = np.array([-1.0, -0.6, -0.2, 0.3, 0.6, 1.0]) * build.half_depth
    widths = [rng.uniform(0, 16), rng.uniform(4, 18), rng.uniform(20, 36), rng.uniform(20, 34), 20.0, 24.0]
    width = np.interp(box.y, depths, widths).astype(np.float32)
    wave = 1.0 + 0.12 * np.sin(box.z / rng.uniform(11, 25) + rng.uniform(0, 6))
    middle = np.broadcast_to(np.abs(box.x - shift) < width * wave, box.shape).copy()
    hu[cavity] = np.where(smooth_noise(box.shape, 10.0 / box.step_mm, rng)[cavity] > 0.3, FAT_HU, MUSCLE_HU)
    blood, air = np.zeros(box.shape, np.float32), np.zeros(box.shape, np.float32)
    heart = (rng.uniform(5, 35), -rng.uniform(0.1, 0.4) * build.half_depth, rng.uniform(0.1, 0.3) * build.half_width)
    radii = (rng.uniform(40, 65), rng.uniform(0.4, 0.6) * build.half_depth, rng.uniform(0.35, 0.5) * build.half_width)
    inside = sum(
        ((axis - place) / radius) ** 2 for axis, place, radius in zip((box.z, box.y, box.x), heart, radii, strict=True)
    )
    blood[np.asarray(inside) < 1.0] = 1.0
    arch, left, back = 0.65 * build.height, rng.uniform(14, 24), build.half_depth - 30
    path = [(-60.0, back, left), (arch, back - 5, left), (arch + 14, 0.0, left - 4), (arch - 20, -18.0, -4.0)]
    for start, end in pairwise(path):
        fill_tube(blood, box, (np.array(start), np.array(end)), (12.0, 13.0))
    split = np.array([0.55 * build.height, 0.1 * build.half_depth, shift])
    fill_tube(air, box, (split, np.array([build.height + 60, -5.0, shift])), (8.0, 8.0))
    middle |= blood > 0.5
    hu[(blood > 0.5) & cavity] = build.blood_hu
    hu[(air > 0.5) & cavity] = AIR_HU
    return middle


def _above_diaphragm(box: Box, build: Build, rng: Generator) -> Mask:
    """Return what lies above the two domes."""
    fall = rng.uniform(25, 70)
    surface = np.full((1, *box.shape[1:]), -np.inf, np.float32)
    for side, top in ((-1.0, 0.0), (1.0, -float(rng.uniform(-5, 22)))):
        across = (side * box.x - 0.5 * build.half_width) / (0.55 * build.half_width)
        down = (box.y + rng.uniform(0.0, 0.3) * build.half_depth) / (1.1 * build.half_depth)
        dome = top - fall * (across**2 + down**2)
        surface = np.where(side * box.x >= 0, np.maximum(surface, dome), surface)
    ripple = rng.uniform(0, 4) * np.sin(box.x / 17 + rng.uniform(0, 6)) * np.cos(box.y / 23)
    return np.asarray(box.z > surface + ripple)


def _lung_tissue(box: Box, build: Build, rng: Generator) -> Field:
    """Return HU of aerated lung, denser where it hangs, uneven, in some patients with holes or haze."""
    mean, slope = rng.uniform(-920, -780), rng.uniform(0.0, 80.0)
    hu = mean + slope * box.y / build.half_depth + rng.uniform(5, 25) * smooth_noise(box.shape, 20 / box.step_mm, rng)
    hu = hu + rng.uniform(5, 35) * smooth_noise(box.shape, 3.5 / box.step_mm, rng)
    if rng.random() < 0.3:
        holes = smooth_noise(box.shape, rng.uniform(5, 15) / box.step_mm, rng) > rng.uniform(0.3, 1.5)
        hu = np.where(holes, rng.uniform(-1000, -950), hu)
    if rng.random() < 0.3:
        clouds = smooth_noise(box.shape, rng.uniform(35, 70) / box.step_mm, rng)
        haze = np.clip(clouds - rng.uniform(0.3, 1.2), 0.0, 1.0)
        hu = hu + rng.uniform(80, 250) * haze
    behind = np.clip((box.y - rng.uniform(0.75, 1.0) * build.half_depth) / 15.0, 0.0, 1.0)
    sunk = behind * np.clip(1 - box.z / 150, 0, 1)
    return np.asarray(hu + rng.uniform(0, 350) * sunk * (rng.random() < 0.5), np.float32)


def _add_fissures(hu: Field, lungs: Mask, box: Box, build: Build, rng: Generator) -> None:
    """Add the thin curved sheets between lobes, three of them."""
    for side, is_flat in ((-1.0, False), (1.0, False), (-1.0, True)):
        tilt = rng.uniform(-0.15, 0.25) if is_flat else rng.uniform(-1.3, -0.6)
        level = rng.uniform(0.4, 0.6) * build.height
        bow = rng.uniform(0.0005, 0.002) * (np.abs(box.x) - 0.5 * build.half_width) ** 2
        away = np.abs(box.z - level + tilt * box.y + bow + 4 * np.sin(box.y / 19)) / np.sqrt(1 + tilt**2)
        share = np.clip(1.0 - away / box.step_mm, 0.0, 1.0) * rng.uniform(0.1, 0.5)
        here = lungs & np.broadcast_to(side * box.x > 0, box.shape)
        if is_flat:
            here &= np.broadcast_to(box.y < 0, box.shape)
        hu[here] += (share * (MUSCLE_HU - hu))[here]


def _add_branches(lung: Thorax, build: Build, side: float, rng: Generator) -> None:
    """Grow arteries with bronchi, and veins, into one lung from its hilum; `side` is 1 at the left."""
    hu, box = lung.hu, lung.box
    inside = np.argwhere(lung.lungs)
    if len(inside) < 1000:
        return
    vessels, wall, air = (np.zeros(box.shape, np.float32) for _ in range(3))
    for is_artery in (True, False):
        hilum = np.array([rng.uniform(0.36, 0.5) * build.height, rng.uniform(-0.1, 0.25) * build.half_depth,
                          side * rng.uniform(0.24, 0.34) * build.half_width])
        chosen = inside[rng.integers(0, len(inside), int(rng.integers(250, 700)))]
        tips = np.array(box.first_mm) + box.step_mm * chosen
        tree = grow_tree(hilum, tips, float(rng.uniform(0.45, 0.8)), rng)
        draw_tree(vessels, box, tree)
        if is_artery:
            draw_airways(wall, air, box, tree, least_radius_mm=1.6)
    blood = min(build.blood_hu, 200.0)
    for share, tissue in ((wall, -50.0), (air, AIR_HU), (vessels, blood)):
        mixed = lung.lungs & (share > 0)
        hu[mixed] += (share * (tissue - hu))[mixed]


def _add_bands(hu: Field, lungs: Mask, box: Box, rng: Generator) -> None:
    """Add scars: short straight strands and thin discs, dense as tissue."""
    inside = np.argwhere(lungs)
    share = np.zeros(box.shape, np.float32)
    for _ in range(int(rng.integers(0, 8))):
        centre = _place(inside, box, rng)
        half = _direction(rng) * rng.uniform(6, 25)
        radius = rng.uniform(0.6, 1.6)
        fill_tube(share, box, (centre - half, centre + half), (radius, radius))
    for _ in range(int(rng.integers(0, 3))):
        _fill_disc(share, box, _place(inside, box, rng), _direction(rng), float(rng.uniform(8, 22)))
    hu[lungs] += (share * (rng.uniform(-100, 60) - hu))[lungs]


def _fill_disc(share: Field, box: Box, centre: Points, normal: Points, radius_mm: float) -> None:
    cut = box.around(centre - radius_mm, centre + radius_mm)
    dz, dy, dx = box.z[cut[0]] - centre[0], box.y[:, cut[1]] - centre[1], box.x[:, :, cut[2]] - centre[2]
    off = np.abs(dz * normal[0] + dy * normal[1] + dx * normal[2])
    near = dz**2 + dy**2 + dx**2 < radius_mm**2
    share[cut] = np.maximum(share[cut], near * np.clip(1.3 - off / box.step_mm, 0.0, 1.0))


def _place(inside: NDArray[np.int64], box: Box, rng: Generator) -> Points:
    return np.asarray(np.array(box.first_mm) + box.step_mm * inside[rng.integers(0, len(inside))])


def _direction(rng: Generator) -> Points:
    """Return a direction in space, all equally likely."""
    drawn = rng.normal(size=3)
    return np.asarray(drawn / np.linalg.norm(drawn))
