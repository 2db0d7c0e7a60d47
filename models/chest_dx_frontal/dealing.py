"""Makes a training example of the gate: a chest turned, inverted or cut, or a picture of something else."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.random import Generator

from node.imaging.image import PlanarImage
from node.imaging.resample import letterbox
from node.training.augmentation import Augmentation, augment
from node.training.batches import Example
from node.vocabulary import Pixels

from .preprocess import INVERTED, KINDS, OTHER, SIZE, TURNED_LEFT, TURNED_RIGHT, UPRIGHT, UPSIDE_DOWN, prepare

# Where the head points after so many quarter turns against the clock.
TURNED = (UPRIGHT, TURNED_LEFT, UPSIDE_DOWN, TURNED_RIGHT)
SHARES = {UPRIGHT: 0.30, TURNED_LEFT: 0.11, TURNED_RIGHT: 0.11, UPSIDE_DOWN: 0.11, INVERTED: 0.09, OTHER: 0.28}
MIRRORED = 0.5
DETAIL = 0.2  # of the other pictures, so many are a cut-out of a chest
DETAIL_SIDES = (0.15, 0.35)
# Chests are mirrored before they are turned: mirroring afterwards would exchange left and right.
LIMITS = Augmentation(
    black=-1.0, white=1.0, flips=False, rotation_degrees=12.0, scale=0.25, shift=0.10, gamma=0.35, shading=0.2,
    opacity=0.6,
)  # fmt: skip


class Drawer:
    """Draws examples: kinds in the shares above, each from a picture chosen at random and varied anew."""

    def __init__(self, uprights: Sequence[PlanarImage], others: Sequence[PlanarImage], limits: Augmentation) -> None:
        """Keep the pictures as the network would see them."""
        self._uprights = [prepare(image)[0, :, :, 0] for image in uprights]
        self._sharp = [image.pixels for image in uprights]
        self._others = [prepare(image)[0, :, :, 0] for image in others]
        self._limits = limits

    def __call__(self, index: int, rng: Generator) -> Example:  # noqa: ARG002
        """Return a (128, 128, 1) picture and the probability of each kind."""
        kind = str(rng.choice(list(SHARES), p=list(SHARES.values())))
        target = np.asarray([float(name == kind) for name in KINDS], np.float32)
        return _vary(self._draw(kind, rng), self._limits, rng), target

    def _draw(self, kind: str, rng: Generator) -> Pixels:
        if kind == OTHER:
            return self._draw_other(rng)
        chest = self._uprights[rng.integers(len(self._uprights))]
        chest = chest[:, ::-1] if rng.random() < MIRRORED else chest
        if kind == INVERTED:
            return np.rot90(-chest, rng.choice(4, p=(0.7, 0.1, 0.1, 0.1)))
        return np.rot90(chest, TURNED.index(kind))

    def _draw_other(self, rng: Generator) -> Pixels:
        if rng.random() < DETAIL:
            picture = _cut_detail(self._sharp[rng.integers(len(self._sharp))], rng)
        else:
            picture = self._others[rng.integers(len(self._others))]
        turned = np.rot90(picture, rng.integers(4))
        return -turned if rng.random() < 0.2 else turned


def _cut_detail(pixels: Pixels, rng: Generator) -> Pixels:
    """Return a small part of a chest: ribs, a shoulder or a part of the belly, but no chest."""
    side = int(min(pixels.shape) * rng.uniform(*DETAIL_SIDES))
    row, column = (int(rng.integers(length - side)) for length in pixels.shape)
    part = pixels[row : row + side, column : column + side]
    low, high = float(part.min()), float(part.max())
    return letterbox((part - low) / max(high - low, 1e-3), SIZE) * 2.0 - 1.0


def _vary(picture: Pixels, limits: Augmentation, rng: Generator) -> Pixels:
    varied, _ = augment(np.ascontiguousarray(picture)[..., np.newaxis], np.zeros_like(picture), limits, rng)
    return varied.astype(np.float32)
