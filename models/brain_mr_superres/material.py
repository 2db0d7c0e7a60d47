"""Draws what the network learns from: a part of a volume, made coarse, brought back by B-splines, and as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from node.imaging.volume import Voxels
from node.vocabulary import Pixels

from .degradation import coarsen
from .interpolation import apply_weights, spline_weights, upsample

SIDE = 64
ISOTROPIC, THICK = (4, 4, 4), (4, 1, 1)


@dataclass(frozen=True)
class Variation:
    """How training examples differ: shares of them in 0..1, and the farthest that each effect goes.

    `thick_share` have thick slices, the others large voxels. `zoom` enlarges the anatomy, as a finer matrix
    would show it. `gain` and `offset` are standard deviations, in deviations of the whitened volume; `noise` is
    the largest deviation, likewise. `profile` is the range of slice profiles, in slice distances.
    """

    thick_share: float = 0.6
    zoom_share: float = 0.35
    zoom: float = 2.0
    other_contrast_share: float = 0.3
    gain: float = 0.15
    offset: float = 0.15
    noise_share: float = 0.4
    noise: float = 0.08
    profile: tuple[float, float] = (0.7, 1.2)


NOTHING_VARIES = Variation(0.5, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, (1.0, 1.0))


def draw_pair(volume: Voxels, variation: Variation, rng: Generator) -> tuple[Pixels, Pixels]:
    """Return the interpolated and the true (64, 64, 64, 1) part of a volume in any orientation, whitened."""
    turned = _turn(volume, rng)
    part, whole = _cut(turned, variation, rng), np.asarray(turned[::4, ::4, ::4], np.float32)
    if rng.random() < variation.other_contrast_share:
        part, whole = _change_contrast((part, whole), float(volume.max()), rng)
    mean, deviation = float(whole.mean()), float(whole.std())
    gain, offset = np.exp(rng.normal(0.0, variation.gain)), rng.normal(0.0, variation.offset)
    true = ((part - mean) / deviation * gain + offset).astype(np.float32)
    return _interpolated(true, variation, rng)[..., np.newaxis], true[..., np.newaxis]


def _interpolated(true: Pixels, variation: Variation, rng: Generator) -> Pixels:
    factors = THICK if rng.random() < variation.thick_share else ISOTROPIC
    coarse = coarsen(true, factors, rng.uniform(*variation.profile))
    if rng.random() < variation.noise_share:
        coarse = coarse + rng.uniform(0.0, variation.noise) * rng.standard_normal(coarse.shape, np.float32)
    return upsample(coarse, factors)


def _turn(volume: Voxels, rng: Generator) -> Voxels:
    """Draw one of the 48 ways in which the axes of a volume can lie."""
    turned = volume.transpose(rng.permutation(3))
    return turned[tuple(slice(None, None, int(step)) for step in rng.choice((-1, 1), 3))]


def _cut(volume: Voxels, variation: Variation, rng: Generator) -> Pixels:
    """Draw a cube, enlarged in some of the examples."""
    zoom = rng.uniform(1.0, variation.zoom) if rng.random() < variation.zoom_share else 1.0
    side = int(np.ceil(SIDE / zoom)) + 1 if zoom > 1.0 else SIDE
    starts = [int(rng.integers(0, count - side + 1)) for count in volume.shape]
    cube = volume[tuple(slice(start, start + side) for start in starts)].astype(np.float32)
    if zoom == 1.0:
        return cube
    weights = spline_weights(side, np.arange(SIDE) / zoom)
    return apply_weights(cube, [weights] * 3)


def _change_contrast(volumes: Sequence[Pixels], white: float, rng: Generator) -> list[Pixels]:
    """Map grey values by one drawn broken line through 0, so that tissues look as in another sequence."""
    places = np.linspace(0.0, white, 6)
    values = np.concatenate([[0.0], rng.uniform(0.0, white, 5)])
    return [np.interp(volume, places, values).astype(np.float32) for volume in volumes]
