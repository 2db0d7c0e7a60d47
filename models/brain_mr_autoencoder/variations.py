"""Varies a T1 volume as other people, scanners and technicians would, so that it is still an upright T1 brain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

from node.imaging.volume import Volume, Voxels
from node.training.smooth_fields import smooth_field
from node.vocabulary import Pixels

from .placing import axis_towards, cut, draw_turn, move

SMALLEST_CONTRAST = 1.06  # white to grey matter, below which a sequence is no longer called T1
RECOLOURED_SHARE = 0.6
LEAST_BLUR = 0.1  # voxels, below which nothing changes


@dataclass(frozen=True)
class Tissues:
    """The usual grey values of cerebrospinal fluid, grey and white matter."""

    fluid: float
    grey: float
    white: float


@dataclass(frozen=True)
class Subject:
    """A T1 volume, float32 with background near 0, the grey values of its tissues, and their share of each voxel."""

    volume: Volume
    tissues: Tissues
    shares: tuple[Pixels, Pixels, Pixels]


@dataclass(frozen=True)
class Limits:
    """How far a volume may vary: degrees, standard deviations of logarithms, fractions of its bright grey, voxels."""

    turn_degrees: float = 20.0
    size: float = 0.06
    proportion: float = 0.02
    bias: float = 0.5
    noise: float = 0.04
    blur_voxels: float = 1.0
    below_share: float = 0.3


def vary(subject: Subject, limits: Limits, rng: Generator) -> Volume:
    """Return the subject varied in every way that leaves it an upright T1 brain."""
    volume = subject.volume
    if rng.random() < RECOLOURED_SHARE:
        volume = recolour(subject, _draw_t1(subject.tissues, rng), float(rng.uniform(0.5, 2.5)))
    return vary_scan(volume, limits, rng)


def vary_scan(volume: Volume, limits: Limits, rng: Generator) -> Volume:
    """Return the volume with other shading, noise and sharpness, turned a little, of other size, perhaps cut below."""
    grey = volume.voxels * draw_shading(volume.voxels.shape, rng.uniform(0.0, limits.bias), rng)
    grey = blur(grey, rng.uniform(0.0, limits.blur_voxels), int(rng.integers(-1, 3)))
    bright = float(np.percentile(grey, 95))
    grey = add_noise(grey, rng.uniform(0.0, limits.noise) * bright, rng)
    return place(replace(volume, voxels=grey), limits, rng)


def place(volume: Volume, limits: Limits, rng: Generator) -> Volume:
    """Return the volume turned a little, of other size, perhaps with its sides exchanged or its lower end cut off."""
    size = np.exp(rng.normal(0.0, limits.size) + rng.normal(0.0, limits.proportion, 3))
    sides = np.diag([float(rng.choice((-1.0, 1.0))), 1.0, 1.0])
    moved = move(volume, draw_turn(limits.turn_degrees, rng) @ np.diag(size) @ sides)
    return _cut_below(moved, rng.uniform(0.0, 0.15)) if rng.random() < limits.below_share else moved


def recolour(subject: Subject, values: Tissues, outside: float) -> Volume:
    """Return the volume with other grey values for its tissues, all else multiplied by `outside`.

    Each voxel changes by the share that each tissue has of it, so edges and texture stay as the scanner saw them.
    """
    old, new = subject.tissues, values
    changes = (new.fluid - old.fluid, new.grey - old.grey, new.white - old.white)
    inside = np.clip(sum(subject.shares), 0.0, 1.0)
    grey = subject.volume.voxels * (inside + outside * (1.0 - inside))
    grey += sum(share * change for share, change in zip(subject.shares, changes, strict=True))
    return replace(subject.volume, voxels=np.asarray(np.maximum(grey, 0.0), np.float32))


def draw_shading(shape: tuple[int, ...], amount: float, rng: Generator) -> Pixels:
    """Draw the sensitivity of a coil, its logarithm with about this deviation; half of the coils favour the rim."""
    field = amount * smooth_field(shape, int(rng.integers(2, 4)), rng)
    if rng.random() < 0.5:
        axes = [np.linspace(-1.0, 1.0, count, dtype=np.float32) for count in shape]
        z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
        field = field + 2.0 * amount * (z**2 + y**2 + x**2 - 1.0)
    return np.asarray(np.exp(field), np.float32)


def blur(grey: Voxels, sigma_voxels: float, only_axis: int = -1) -> Pixels:
    """Blur along all axes, or along one, as thick slices are."""
    blurred = np.asarray(grey, np.float32)
    for axis in range(3):
        if only_axis in (-1, axis) and sigma_voxels > LEAST_BLUR:
            blurred = _blur_along(blurred, axis, sigma_voxels)
    return blurred


def add_noise(grey: Voxels, deviation: float, rng: Generator) -> Pixels:
    """Add Rician noise: the magnitude of a complex signal with normal noise in both parts."""
    real = grey + deviation * rng.standard_normal(grey.shape, np.float32)
    imaginary = deviation * rng.standard_normal(grey.shape, np.float32)
    return np.asarray(np.hypot(real, imaginary), np.float32)


def _draw_t1(tissues: Tissues, rng: Generator) -> Tissues:
    """Draw another T1 contrast: fluid darkest, white matter brightest of the brain."""
    white = tissues.white
    grey = white / rng.uniform(SMALLEST_CONTRAST, 1.7)
    return Tissues(grey * rng.uniform(0.2, 0.75), grey, white)


def _cut_below(volume: Volume, share: float) -> Volume:
    """Leave out this share of the volume at its end towards the feet."""
    axis = axis_towards(volume, 2)
    count = volume.voxels.shape[axis]
    gone = int(share * count)
    if volume.grid.steps_mm[axis][2] > 0:
        return cut(volume, axis, gone, count)
    return cut(volume, axis, 0, count - gone)


def _blur_along(grey: Pixels, axis: int, sigma: float) -> Pixels:
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.pad(grey, [(reach, reach) if other == axis else (0, 0) for other in range(3)], mode="edge")
    parts = (
        weight * np.take(padded, np.arange(offset, offset + grey.shape[axis]), axis)
        for offset, weight in enumerate(kernel / kernel.sum())
    )
    return np.asarray(sum(parts), np.float32)
