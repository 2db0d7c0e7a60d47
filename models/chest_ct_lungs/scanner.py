"""Scans a phantom: range, slice thickness, field of view, tilt, kernel, noise and padding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.regrid import Sampling, resample_values
from node.imaging.volume import Grid, Millimetres, SliceSource, Unit, Volume
from node.training.phantom_space import Space
from node.vocabulary import Mask

from .body import BELOW_MM, Build
from .shapes import Field

LOWEST_HU, HIGHEST_HU = -1024, 3071
STEPS_MM = (1.0, 1.25, 2.0, 2.5, 3.0, 5.0)


@dataclass(frozen=True)
class Phantom:
    """A made-up patient, drawn whole: HU and where the lungs are."""

    build: Build
    space: Space
    hu: Field
    lungs: Mask


@dataclass(frozen=True)
class Protocol:
    """What a scanner can do: `matrix` rows and columns, slices no closer than `least_step_mm`."""

    matrix: int
    least_step_mm: float


@dataclass(frozen=True)
class Scan:
    """A volume and, on its grid, where it shows lung."""

    volume: Volume
    lungs: Mask


def scan(phantom: Phantom, protocol: Protocol, rng: Generator) -> Scan:
    """Return the phantom as a scanner with this protocol would show it."""
    space = phantom.space
    grid = _draw_grid(phantom.build, protocol, rng)
    blurred = _blur(phantom.hu, (0.3 * grid.spacing_mm[0], 0.0, 0.0), space.steps_mm)
    seen = resample_values(blurred, space.grid, grid, Sampling(outside=float(LOWEST_HU)))
    truth = resample_values(phantom.lungs.astype(np.float32), space.grid, grid, Sampling()) > 0.5
    voxels = _reconstruct(seen, grid, rng)
    padding = _draw_padding(grid, rng)
    voxels[padding] = voxels[~padding].min()
    sources = tuple(SliceSource(f"2.25.{number + 1}") for number in range(grid.shape[0]))
    return Scan(Volume(voxels, grid, Unit.HOUNSFIELD, padding, sources, "2.25.1"), truth & ~padding)


def _draw_grid(build: Build, protocol: Protocol, rng: Generator) -> Grid:
    """Draw range, step, field of view and the small tilt with which patients lie."""
    step = float(rng.choice([step for step in STEPS_MM if step >= protocol.least_step_mm]))
    low, high = _draw_range(build, rng)
    field = float(np.clip(rng.uniform(0.92, 1.3) * 2 * build.half_width, 256, 470))
    spacing = field / protocol.matrix
    turn = _rotation(np.deg2rad(rng.normal(0, 3, 3)))
    steps = np.diag([step, spacing, spacing]) @ np.array([turn[:, 2], turn[:, 1], turn[:, 0]])
    shape = (max(2, int((high - low) / step)), protocol.matrix, protocol.matrix)
    centre = np.array([rng.normal(0, 8), rng.normal(0, 8), (low + high) / 2])
    origin = centre - (np.array(shape) - 1) / 2 @ steps
    return Grid(shape, tuple(origin.tolist()), tuple(tuple(row) for row in steps.tolist()))


def _draw_range(build: Build, rng: Generator) -> tuple[float, float]:
    """Draw where the scan ends and begins: mostly the whole chest, else a part of it or the abdomen."""
    kind = rng.random()
    if kind < 0.72:
        return float(-rng.uniform(70, BELOW_MM - 5)), build.height + float(rng.uniform(2, 50))
    if kind < 0.9:
        middle, half = rng.uniform(-60, build.height), rng.uniform(20, 90)
        return float(max(middle - half, -BELOW_MM + 5)), float(middle + half)
    return 5 - BELOW_MM, float(-rng.uniform(50, 100))


def _rotation(angles: Millimetres) -> Millimetres:
    """Return the rotation by three small angles about x, y and z."""
    turn = SimpleITK.Euler3DTransform()
    turn.SetRotation(*(float(angle) for angle in angles))
    return np.array(turn.GetMatrix()).reshape(3, 3)


def _reconstruct(seen: Field, grid: Grid, rng: Generator) -> NDArray[np.int16]:
    """Apply a soft or sharp kernel, and add noise as correlated as that kernel makes it."""
    pixel = grid.spacing_mm[1]
    wide = rng.uniform(0.3, 1.2)
    if rng.random() < 0.5:
        seen = _blur(seen, (0.0, wide, wide), grid.spacing_mm)
    else:
        seen = seen + rng.uniform(0.2, 0.8) * (seen - _blur(seen, (0.0, 2 * wide, 2 * wide), grid.spacing_mm))
    noise = rng.standard_normal(seen.shape, np.float32)
    noise = _blur(noise, (0.0, 0.9 * pixel, 0.9 * pixel), grid.spacing_mm)
    seen = seen + noise * (rng.uniform(5, 60) * rng.uniform(0.4, 1.0) / max(float(noise.std()), 1e-6))
    shift = rng.uniform(-15, 15)
    return np.clip(np.round(seen + shift), LOWEST_HU, HIGHEST_HU).astype(np.int16)


def _draw_padding(grid: Grid, rng: Generator) -> Mask:
    """Return the corners outside the circle that a scanner reconstructs, or nothing."""
    rows, columns = np.mgrid[-1 : 1 : grid.shape[1] * 1j, -1 : 1 : grid.shape[2] * 1j]
    reach = rng.uniform(0.97, 1.05) if rng.random() < 0.5 else 2.0
    return np.broadcast_to(rows**2 + columns**2 > reach**2, grid.shape).copy()


def _blur(voxels: Field, sigmas_mm: tuple[float, float, float], spacing_mm: tuple[float, ...]) -> Field:
    """Smooth along each of (slices, rows, columns) by a Gaussian; those below a fifth of a voxel do nothing."""
    image = SimpleITK.GetImageFromArray(np.asarray(voxels, np.float32))
    for axis, (sigma, spacing) in enumerate(zip(sigmas_mm, spacing_mm, strict=True)):
        if sigma > 0.2 * spacing and voxels.shape[axis] >= 4:
            image = SimpleITK.RecursiveGaussian(image, sigma / spacing, direction=2 - axis)
    return np.asarray(SimpleITK.GetArrayFromImage(image), np.float32)
