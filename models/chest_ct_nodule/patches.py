"""Draws the cubes of lung, with and without nodules, that the network learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.vocabulary import Mask, Pixels

from .backgrounds import Background
from .insertion import displace, place
from .nodules import draw_nodule, plan_nodule
from .scanner import draw_scanner, filter_slices, rescan, thicken
from .tissue import Field
from .window import scale
from .working_grid import FINE_MM

SIDE = 32  # voxels of a window in training: 48 mm
RIM = 4  # voxels around it that a blur may reach into
UNKNOWN = -1.0
NODULE_SHARE = 0.65  # of the windows
TRIES = 4


@dataclass(frozen=True)
class Canvas:
    """A window that nodules are drawn into, with its truth; `slice_mm` as in `Background`."""

    hu: Field
    truth: Field
    lungs: Mask
    slice_mm: float | None


def draw_window(background: Background, rng: Generator) -> tuple[Pixels, Pixels]:
    """Return a window of a chest as the network sees it, with none to three nodules, and its truth.

    Both are (32, 32, 32, 1); the truth is 1 in a nodule, 0 elsewhere, -1 where nobody knows.
    """
    has_nodule = rng.random() < NODULE_SHARE
    cut, centre = _cut(background, has_nodule, rng)
    truth = np.where(background.unknown[cut], UNKNOWN, 0.0).astype(np.float32)
    canvas = Canvas(background.hu[cut].astype(np.float32), truth, background.lungs[cut], background.slice_mm)
    if has_nodule:
        for number in range(int(rng.choice((1, 1, 2, 3)))):
            _add_nodule(canvas, centre if number == 0 else None, rng)
    hu = _as_scanned(canvas.hu, background.slice_mm, rng)
    inner = (slice(RIM, -RIM),) * 3
    return _turn(scale(hu[inner]), truth[inner], rng)


def _cut(background: Background, has_nodule: bool, rng: Generator) -> tuple[tuple[slice, ...], tuple[int, int, int]]:
    """Return a window with its rim around a place that is worth a look, and the place in the window."""
    kinds = (background.anywhere, background.edges) if has_nodule else (background.dense, background.edges)
    places = kinds[int(rng.random() < 0.35)]
    if not len(places):
        places = background.anywhere
    place_ = places[int(rng.integers(len(places)))].astype(int)
    side = SIDE + 2 * RIM
    wanted = place_ - rng.integers(RIM + 6, side - RIM - 6, 3)
    first = np.clip(wanted, 0, np.array(background.hu.shape) - side)
    at = place_ - first
    return tuple(slice(int(start), int(start) + side) for start in first), (int(at[0]), int(at[1]), int(at[2]))


def _add_nodule(canvas: Canvas, centre: tuple[int, int, int] | None, rng: Generator) -> None:
    """Draw a nodule around a voxel, or anywhere in the lungs of the window, if there is room for it."""
    for _ in range(TRIES):
        at = centre or _anywhere(canvas.lungs, rng)
        if at is None:
            return
        nodule = draw_nodule(plan_nodule(rng), FINE_MM, rng, room_mm=canvas.slice_mm or 0.0)
        placed = place(nodule, canvas.lungs, at)
        if placed is None:
            continue
        share = placed.share
        if canvas.slice_mm is not None:
            share = filter_slices(thicken(share, canvas.slice_mm / FINE_MM, rng), float(rng.uniform(0.0, 0.15)))
        displace(canvas.hu, placed, share)
        canvas.truth[placed.cut][placed.body] = 1.0
        return


def _anywhere(lungs: Mask, rng: Generator) -> tuple[int, int, int] | None:
    found = np.flatnonzero(lungs)
    if not found.size:
        return None
    z, y, x = np.unravel_index(int(rng.choice(found)), lungs.shape)
    return int(z), int(y), int(x)


def _as_scanned(hu: Field, slice_mm: float | None, rng: Generator) -> Field:
    """Return a drawing as a scanner shows it; a real series already is, and only gets noisier or smoother."""
    if slice_mm is None:
        return rescan(hu, FINE_MM, draw_scanner(rng), rng)
    if rng.random() < 0.5:
        hu = filter_slices(hu, float(rng.uniform(-0.08, 0.15)))
    noise = rng.standard_normal(hu.shape, np.float32) * np.float32(rng.uniform(0, 20))
    return np.asarray(hu + noise + rng.uniform(-10, 10), np.float32)


def _turn(picture: Pixels, truth: Pixels, rng: Generator) -> tuple[Pixels, Pixels]:
    """Mirror both along some axes and swap rows and columns, but never slices with either."""
    axes = tuple(axis for axis in range(3) if rng.random() < 0.5)
    order = (0, 2, 1) if rng.random() < 0.5 else (0, 1, 2)
    turned = [np.flip(array, axes).transpose(order)[..., np.newaxis] for array in (picture, truth)]
    return np.ascontiguousarray(turned[0]), np.ascontiguousarray(turned[1])
