"""Cuts varied blocks out of a labelled head: moved, turned and scaled, with another scanner's grey values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.head import BRIGHTEST
from node.imaging.smoothing import blur_along
from node.training.smooth_fields import smooth_field
from node.vocabulary import Pixels

from .subjects import LabelledHead
from .truth import May, Truth

Middle = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """How far blocks vary: angles in degrees, the rest as fractions.

    Only `moved_share` of the blocks are turned and scaled, the others lie on the grid of the head. Of the grey
    values, the logarithms of gain, gamma and coil sensitivity have these deviations. `thick_share` of the blocks look
    like slices of up to `slice_voxels`. `brain_share` of them are cut near a voxel of the brain.
    """

    moved_share: float = 0.5
    rotation_degrees: float = 10.0
    scale: float = 0.10
    gain: float = 0.10
    gamma: float = 0.10
    bias: float = 0.15
    noise: float = 0.05
    thick_share: float = 0.15
    slice_voxels: float = 2.5
    brain_share: float = 0.85
    mirrored_share: float = 0.5


@dataclass(frozen=True)
class _Place:
    """Where a block of `size` voxels per side comes from: about `middle` (slice, row, column), by the way `way`."""

    middle: Middle
    size: int
    way: SimpleITK.Transform

    def cut(self, voxels: Pixels | Truth, interpolator: int, outside: float) -> Any:
        """Return the block, in the type of the voxels."""
        image = SimpleITK.GetImageFromArray(voxels)
        image.SetOrigin(((self.size - 1) / 2 - self.middle[::-1]).tolist())
        corner, step, axes = [0.0] * 3, [1.0] * 3, np.eye(3).ravel().tolist()
        block = SimpleITK.Resample(image, [self.size] * 3, self.way, interpolator, corner, step, axes, outside)
        return SimpleITK.GetArrayFromImage(block)


def draw_block(head: LabelledHead, size: int, limits: Limits, rng: Generator) -> tuple[Pixels, Truth]:
    """Return a (size, size, size) block of grey values and what its voxels may be; beyond the head is air."""
    middle = _draw_middle(head.truth, size, limits, rng)
    if rng.random() < limits.moved_share:
        way = _draw_way(size, limits, rng)
    else:
        half = (size - 1) / 2
        way, middle = SimpleITK.AffineTransform(3), np.rint(middle - half) + half
    is_mirrored = rng.random() < limits.mirrored_share
    place = _Place(middle, size, way)
    voxels = place.cut(head.voxels, SimpleITK.sitkLinear, 0.0)
    truth = place.cut(head.truth, SimpleITK.sitkNearestNeighbor, float(May.BACKGROUND))
    if is_mirrored:
        voxels, truth = voxels[..., ::-1], truth[..., ::-1]
    return _vary_grey(np.ascontiguousarray(voxels), limits, rng), truth


def _draw_middle(truth: Truth, size: int, limits: Limits, rng: Generator) -> Middle:
    """Draw the middle of a block: most often near a voxel of the brain."""
    if rng.random() > limits.brain_share:
        return rng.uniform(0.0, np.array(truth.shape))
    brain = np.flatnonzero((truth & May.BRAIN > 0) & (truth & May.BACKGROUND == 0))
    voxel = np.array(np.unravel_index(brain[rng.integers(brain.size)], truth.shape), float)
    return voxel + rng.uniform(-size / 4, size / 4, 3)


def _draw_way(size: int, limits: Limits, rng: Generator) -> SimpleITK.AffineTransform:
    """Draw a rotation, a scale and a stretch about the middle of a block."""
    way = SimpleITK.AffineTransform(3)
    way.SetCenter([(size - 1) / 2] * 3)
    way.Scale((np.exp(rng.uniform(-limits.scale, limits.scale) + rng.uniform(-0.5, 0.5, 3) * limits.scale)).tolist())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        way.Rotate(first, second, np.deg2rad(rng.uniform(-limits.rotation_degrees, limits.rotation_degrees)))
    return way


def _vary_grey(voxels: Pixels, limits: Limits, rng: Generator) -> Pixels:
    """Vary grey values in which air is 0 and tissue about 1."""
    if rng.random() < limits.thick_share:
        voxels = _thicken(voxels, rng.uniform(1.2, limits.slice_voxels), int(rng.integers(0, 3)))
    voxels = np.maximum(voxels, 0.0) ** np.exp(rng.normal(0.0, limits.gamma))
    coil = smooth_field(voxels.shape, int(rng.integers(2, 5)), rng) * rng.uniform(0.0, limits.bias)
    voxels = voxels * np.exp(coil + rng.normal(0.0, limits.gain))
    noise = rng.standard_normal(voxels.shape, np.float32) * rng.uniform(0.0, limits.noise)
    return np.clip(np.abs(voxels + noise * (voxels > 0)), 0.0, BRIGHTEST).astype(np.float32)


def _thicken(voxels: Pixels, slice_voxels: float, axis: int) -> Pixels:
    """Average along one axis as a thick slice does, and interpolate between slices as far apart."""
    averaged = np.moveaxis(blur_along(np.ascontiguousarray(voxels), axis, 0.4 * slice_voxels), axis, 0)
    places = np.arange(len(averaged)) / slice_voxels
    taken = np.clip(np.rint(np.arange(np.ceil(places[-1]) + 1) * slice_voxels).astype(int), 0, len(averaged) - 1)
    below = np.floor(places).astype(int)
    part = (places - below)[:, None, None].astype(np.float32)
    above = np.minimum(below + 1, len(taken) - 1)
    slices = averaged[taken]
    return np.moveaxis(slices[below] * (1 - part) + slices[above] * part, 0, axis)
