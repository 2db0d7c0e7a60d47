"""Whole made-up CT series with nodules at known places: what the model is validated and tested on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.random import Generator

from node.imaging.volume import Grid, Millimetres, SliceSource, Unit, Volume
from node.vocabulary import Mask

from .insertion import Placed, displace, place
from .nodules import Kind, draw_nodule, plan_nodule
from .scanner import Slices, draw_scanner, scan_slices
from .thorax import Thorax, draw_thorax

DRAWN_MM = 1.2
NODULES = 8
AT_WALL = 0.35
TRIES = 60
APART_MM = 6.0


@dataclass(frozen=True)
class Target:
    """A nodule to be found: its middle (x, y, z) in mm, the diameter of a ball of its volume, and its kind."""

    middle_mm: Millimetres
    diameter_mm: float
    kind: Kind


@dataclass(frozen=True)
class DrawnScan:
    """A made-up series and the nodules in it."""

    patient: int
    volume: Volume
    targets: tuple[Target, ...]


def draw_scan(patient: int) -> DrawnScan:
    """Return the series of a made-up patient; the same number draws the same voxels and nodules."""
    rng = np.random.default_rng(patient)
    thorax = draw_thorax(DRAWN_MM, rng)
    targets = _add_nodules(thorax, rng)
    scanner = draw_scanner(rng)
    slices = scan_slices(thorax.hu, DRAWN_MM, scanner, rng)
    return DrawnScan(patient, _volume(thorax, slices, scanner.slice_mm), targets)


def _add_nodules(thorax: Thorax, rng: Generator) -> tuple[Target, ...]:
    """Draw nodules into the lungs of a thorax, some of them at the wall, none into another."""
    inside, edge = np.argwhere(thorax.lungs), np.argwhere(_edge(thorax.lungs))
    taken = np.zeros(thorax.lungs.shape, np.bool_)
    targets: list[Target] = []
    for _ in range(TRIES):
        if len(targets) == NODULES:
            break
        places = edge if rng.random() < AT_WALL else inside
        at = places[int(rng.integers(len(places)))]
        plan = plan_nodule(rng)
        placed = place(draw_nodule(plan, DRAWN_MM, rng), thorax.lungs, (int(at[0]), int(at[1]), int(at[2])))
        if placed is None or taken[placed.cut].any():
            continue
        displace(thorax.hu, placed, placed.share)
        taken[placed.cut] = True
        targets.append(_target(placed, thorax, plan.kind))
    return tuple(targets)


def _target(placed: Placed, thorax: Thorax, kind: Kind) -> Target:
    middle = np.argwhere(placed.body).mean(axis=0) + np.array([part.start for part in placed.cut])
    diameter = np.cbrt(6.0 * placed.body.sum() * DRAWN_MM**3 / np.pi)
    return Target(thorax.box.grid.position_mm(tuple(middle.tolist())), float(diameter), kind)


def _edge(lungs: Mask) -> Mask:
    eroded = SimpleITK.BinaryErode(SimpleITK.GetImageFromArray(lungs.astype(np.uint8)), [2, 2, 2])
    return np.asarray(lungs & (SimpleITK.GetArrayFromImage(eroded) == 0))


def _volume(thorax: Thorax, slices: Slices, slice_mm: float) -> Volume:
    """Return slices of a drawing as a volume in its place."""
    z, y, x = thorax.box.first_mm
    counts = slices.hu.shape
    steps = ((0.0, 0.0, slice_mm), (0.0, DRAWN_MM, 0.0), (DRAWN_MM, 0.0, 0.0))
    grid = Grid((counts[0], counts[1], counts[2]), (x, y, z + slices.first_mm), steps)
    sources = tuple(SliceSource(f"2.25.{number + 1}") for number in range(counts[0]))
    voxels = np.round(slices.hu).astype(np.int16)
    return Volume(voxels, grid, Unit.HOUNSFIELD, np.zeros(grid.shape, np.bool_), sources, "2.25.1")
