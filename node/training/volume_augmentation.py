"""Draws variations of a labelled volume that another patient, position or scanner could have given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.training.smooth_fields import smooth_field
from node.vocabulary import Pixels

Labels = NDArray[Any]

BEND_KNOTS = 4
BIAS_KNOTS = 3


@dataclass(frozen=True)
class VolumeAugmentation:
    """How far variations go; 0 leaves an effect out.

    `flips` says for slices, rows and columns whether half of the volumes are mirrored along it.
    `rotation_degrees`, `scale` (of the logarithm) and `shift` (a fraction of the side) are drawn evenly
    up to their limit; all else are standard deviations: `bend` in voxels, `bias` and `contrast` of the
    logarithm of a factor, `offset` and `noise` in units of the values. `black` is the value of air,
    which factors leave alone; what comes from outside the volume is black and of label 0.
    """

    black: float = 0.0
    flips: tuple[bool, bool, bool] = (False, False, False)
    rotation_degrees: float = 10.0
    scale: float = 0.10
    shift: float = 0.05
    bend: float = 1.0
    bias: float = 0.15
    contrast: float = 0.10
    offset: float = 0.05
    noise: float = 0.05


def augment_volume(
    voxels: Pixels, labels: Labels, limits: VolumeAugmentation, rng: Generator
) -> tuple[Pixels, Labels]:
    """Return varied (slices, rows, columns, channels) voxels and the (slices, rows, columns) labels moved with them.

    Channels are sequences of one place: all move alike, each has a contrast, shading and noise of its own.
    """
    moved, moved_labels = move_volume(voxels, labels, limits, rng)
    return vary_values(moved, limits, rng), moved_labels


def move_volume(voxels: Pixels, labels: Labels, limits: VolumeAugmentation, rng: Generator) -> tuple[Pixels, Labels]:
    """Return voxels, interpolated linearly, and labels, each the nearest, moved, bent and mirrored alike."""
    way = _draw_way(labels.shape, limits, rng)
    channels = [_move(voxels[..., channel], way, SimpleITK.sitkLinear, limits.black) for channel in _channels(voxels)]
    moved = np.stack(channels, axis=-1).astype(np.float32)
    moved_labels = _move(labels, way, SimpleITK.sitkNearestNeighbor, 0.0).astype(labels.dtype)
    axes = tuple(axis for axis, may_flip in enumerate(limits.flips) if may_flip and rng.random() < 0.5)
    return np.ascontiguousarray(np.flip(moved, axes)), np.ascontiguousarray(np.flip(moved_labels, axes))


def vary_values(voxels: Pixels, limits: VolumeAugmentation, rng: Generator) -> Pixels:
    """Return voxels with another coil, contrast, offset and noise for each channel."""
    varied = [_vary(voxels[..., channel], limits, rng) for channel in _channels(voxels)]
    return np.stack(varied, axis=-1).astype(np.float32)


def _vary(values: Pixels, limits: VolumeAugmentation, rng: Generator) -> Pixels:
    gain = smooth_field(values.shape, BIAS_KNOTS, rng) * limits.bias + rng.normal(0.0, limits.contrast)
    varied = (values - limits.black) * np.exp(gain) + limits.black + rng.normal(0.0, limits.offset)
    noise = rng.standard_normal(values.shape, np.float32) * abs(rng.normal(0.0, limits.noise))
    return np.asarray(varied + noise, np.float32)


def _draw_way(shape: tuple[int, ...], limits: VolumeAugmentation, rng: Generator) -> SimpleITK.Transform:
    """Draw where each voxel of the new volume comes from: one affine map about the middle, then a smooth bend."""
    affine = SimpleITK.AffineTransform(3)
    affine.SetCenter([(side - 1) / 2 for side in reversed(shape)])
    affine.Scale(np.exp(rng.uniform(-limits.scale, limits.scale, 3)).tolist())
    for first, second in ((0, 1), (0, 2), (1, 2)):
        degrees = rng.uniform(-limits.rotation_degrees, limits.rotation_degrees)
        affine.Rotate(first, second, float(np.deg2rad(degrees)))
    affine.Translate((rng.uniform(-limits.shift, limits.shift, 3) * shape[::-1]).tolist())
    if not limits.bend:
        return affine
    grid = SimpleITK.Image(list(reversed(shape)), SimpleITK.sitkUInt8)
    bend = SimpleITK.BSplineTransformInitializer(grid, [BEND_KNOTS] * 3)
    bend.SetParameters(rng.normal(0.0, limits.bend, len(bend.GetParameters())).tolist())
    return SimpleITK.CompositeTransform([bend, affine])


def _move(array: NDArray[Any], way: SimpleITK.Transform, interpolator: int, outside: float) -> NDArray[Any]:
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array))
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.Resample(image, image, way, interpolator, outside)))


def _channels(voxels: Pixels) -> range:
    return range(voxels.shape[-1])
