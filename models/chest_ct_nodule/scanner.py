"""Shows a drawn chest as a scanner would: slices of some thickness, a soft or sharp kernel, noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from .tissue import Field

SLICES_MM = (1.0, 1.25, 2.0, 2.5, 3.0, 4.0, 5.0)
LOWEST_HU, HIGHEST_HU = -1024.0, 3071.0


@dataclass(frozen=True)
class Scanner:
    """Slice thickness in mm, a kernel (negative sharpens, positive smooths), noise in HU, and a shift of all HU."""

    slice_mm: float
    kernel: float
    noise_hu: float
    shift_hu: float


def draw_scanner(rng: Generator) -> Scanner:
    """Draw a scanner; thick slices are less noisy."""
    slice_mm = float(rng.choice(SLICES_MM))
    noise = float(rng.uniform(6, 60) / np.sqrt(slice_mm))
    return Scanner(slice_mm, float(rng.uniform(-0.1, 0.2)), noise, float(rng.uniform(-15, 15)))


@dataclass(frozen=True)
class Slices:
    """Slices as a scanner stores them, and how many mm the middle of the first lies above that of the first voxel."""

    hu: Field
    first_mm: float


def scan_slices(hu: Field, step_mm: float, scanner: Scanner, rng: Generator) -> Slices:
    """Return (slices, rows, columns) as the scanner stores them, those that lie within `hu`, `step_mm` apart."""
    start = float(rng.uniform(0, 1))
    width = scanner.slice_mm / step_mm
    middles = slice_middles(hu.shape[0], width, start)
    whole = np.flatnonzero((middles >= width / 2) & (middles <= hu.shape[0] - width / 2))
    average = slice_averages(hu.shape[0], width, start)[whole]
    seen = _with_noise(across_slices(average, hu), scanner, rng)
    return Slices(seen, float(middles[whole[0]] - 0.5) * step_mm)


def rescan(hu: Field, step_mm: float, scanner: Scanner, rng: Generator) -> Field:
    """Return HU on the same voxels after a scanner's slices were interpolated back to them."""
    start = float(rng.uniform(0, 1))
    width = scanner.slice_mm / step_mm
    average = slice_averages(hu.shape[0], width, start)
    seen = _with_noise(across_slices(average, hu), scanner, rng)
    return across_slices(interpolation(hu.shape[0], width, start), seen)


def thicken(share: Field, width: float, rng: Generator) -> Field:
    """Return shares of voxels as slices `width` voxels thick show them, interpolated back to the voxels."""
    start = float(rng.uniform(0, 1))
    average = slice_averages(share.shape[0], width, start)
    return across_slices(interpolation(share.shape[0], width, start) @ average, share)


def slice_middles(count: int, width: float, start: float) -> NDArray[np.float64]:
    """Return where slices of `width` voxels lie over `count` voxels and just beyond, from the outer face of voxel 0."""
    return np.arange((start - 1.0) * width, count + width, width)


def slice_averages(count: int, width: float, start: float) -> NDArray[np.float32]:
    """Return (slices, count): how much each voxel adds to each of the slices at `slice_middles`."""
    middles = slice_middles(count, width, start)[:, np.newaxis]
    voxels = np.arange(count) + 0.5
    covered = np.minimum(middles + width / 2, voxels + 0.5) - np.maximum(middles - width / 2, voxels - 0.5)
    covered = np.maximum(covered, 0.0)
    return np.asarray(covered / np.maximum(covered.sum(axis=1, keepdims=True), 1e-6), np.float32)


def interpolation(count: int, width: float, start: float) -> NDArray[np.float32]:
    """Return (count, slices): how voxels follow linearly from the slices at `slice_middles`."""
    middles = slice_middles(count, width, start)
    away = np.abs(np.arange(count)[:, np.newaxis] + 0.5 - middles[np.newaxis, :]) / width
    weights = np.maximum(1.0 - away, 0.0)
    return np.asarray(weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-6), np.float32)


def across_slices(matrix: NDArray[np.float32], voxels: Field) -> Field:
    """Multiply along the first axis."""
    return np.asarray((matrix @ voxels.reshape(len(voxels), -1)).reshape(-1, *voxels.shape[1:]), np.float32)


def filter_slices(voxels: Field, kernel: float) -> Field:
    """Smooth (or, with a negative kernel, sharpen) along rows and columns with three taps."""
    for axis in (1, 2):
        padded = np.pad(voxels, [(int(axis == other), int(axis == other)) for other in range(3)], mode="edge")
        count = voxels.shape[axis]
        before, after = padded.take(range(count), axis), padded.take(range(2, count + 2), axis)
        voxels = (1.0 - 2.0 * kernel) * voxels + np.float32(kernel) * (before + after)
    return np.asarray(voxels, np.float32)


def _with_noise(seen: Field, scanner: Scanner, rng: Generator) -> Field:
    """Return slices after the kernel, with noise as correlated as the kernel makes it."""
    noise = rng.standard_normal(seen.shape, np.float32) * np.float32(scanner.noise_hu)
    noisy = filter_slices(seen, scanner.kernel) + filter_slices(noise, max(scanner.kernel, 0.05))
    return np.asarray(np.clip(noisy + scanner.shift_hu, LOWEST_HU, HIGHEST_HU), np.float32)
