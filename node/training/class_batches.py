"""Deals pictures of several classes out to Keras, each time varied anew, some of them mixed with another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.random import Generator
from numpy.typing import NDArray

from node.imaging.resample import stretch
from node.training.batches import Dealing, EpochBatches
from node.vocabulary import Pixels


@dataclass(frozen=True)
class Variation:
    """How far pictures in 0..1 are varied; amounts are drawn evenly or normally within their limit.

    Lengths are fractions of the picture's side. `erased` and `mixed` are the shares of pictures of
    which a rectangle is covered (Zhong Z et al.: Random Erasing, AAAI 2020) and of batches in which
    pictures are blended with others (Zhang H et al.: mixup, ICLR 2018).
    """

    flips: bool = True
    rotation_degrees: float = 15.0
    scale: float = 0.2
    stretch: float = 0.12
    shift: float = 0.08
    gamma: float = 0.3
    contrast: float = 0.2
    noise: float = 0.05
    blur_pixels: float = 1.2
    erased: float = 0.25
    mixed: float = 0.5
    mixing: float = 0.3


@dataclass(frozen=True)
class ClassPictures:
    """Prepared pictures (pictures, rows, columns, channels) in 0..1 and the number of the class of each."""

    pictures: Pixels
    classes: NDArray[np.int64]
    count: int

    @property
    def targets(self) -> Pixels:
        """Return one row for each picture, 1 at its class."""
        return np.eye(self.count, dtype=np.float32)[self.classes]


def shrink(known: ClassPictures, size: int) -> ClassPictures:
    """Return the pictures, of one channel, as (pictures, size, size, 1)."""
    small = np.stack([stretch(picture[..., 0], (size, size)) for picture in known.pictures])
    return ClassPictures(small[..., np.newaxis], known.classes, known.count)


class VariedClasses(EpochBatches):
    """Every epoch shows each picture `repeats` times in a new order, varied anew."""

    def __init__(self, known: ClassPictures, limits: Variation, dealing: Dealing) -> None:
        super().__init__()
        self._known = known
        self._targets = known.targets
        self._limits = limits
        self._dealing = dealing

    def __len__(self) -> int:
        return max(1, len(self._known.pictures) * self._dealing.repeats // self._dealing.batch_size)

    def __getitem__(self, batch: int) -> tuple[Pixels, Pixels]:
        """Return batch number `batch` of the present epoch: pictures and their classes, which may be shares."""
        size = self._dealing.batch_size
        chosen = self._order()[batch * size : (batch + 1) * size]
        rng = np.random.default_rng([self._dealing.seed, self.epoch, batch])
        pictures = np.stack([vary(self._known.pictures[index], self._limits, rng) for index in chosen])
        targets = self._targets[chosen]
        if rng.random() >= self._limits.mixed:
            return pictures, targets
        share = np.float32(rng.beta(self._limits.mixing, self._limits.mixing))
        other = rng.permutation(len(chosen))
        return (
            share * pictures + (1 - share) * pictures[other],
            share * targets + (1 - share) * targets[other],
        )

    def _order(self) -> NDArray[np.int64]:
        rng = np.random.default_rng([self._dealing.seed, self.epoch])
        count = len(self._known.pictures)
        return np.concatenate([rng.permutation(count) for _ in range(self._dealing.repeats)])


def vary(picture: Pixels, limits: Variation, rng: Generator) -> Pixels:
    """Return a (rows, columns, channels) picture in 0..1 as another scanner or position could have given it."""
    varied = _move(picture, limits, rng)
    varied = np.clip(varied, 0.0, 1.0) ** np.exp(rng.normal(0.0, limits.gamma))
    varied = varied * np.exp(rng.normal(0.0, limits.contrast)) + rng.normal(0.0, limits.contrast / 6)
    if rng.random() < 0.5:
        varied = varied + rng.normal(0.0, rng.uniform(0.0, limits.noise), varied.shape)
    if rng.random() < limits.erased:
        _erase(varied, rng)
    return np.asarray(np.clip(varied, 0.0, 1.0), np.float32)


def _move(picture: Pixels, limits: Variation, rng: Generator) -> Pixels:
    """Mirror, turn, scale, stretch and shift the picture; what comes in from outside is black."""
    rows, columns = picture.shape[:2]
    affine = SimpleITK.AffineTransform(2)
    affine.SetCenter([(columns - 1) / 2, (rows - 1) / 2])
    scale = np.exp(rng.uniform(-limits.scale, limits.scale))
    stretch = np.exp(rng.uniform(-limits.stretch, limits.stretch))
    mirror = -1.0 if limits.flips and rng.random() < 0.5 else 1.0
    affine.Scale([mirror * scale * stretch, scale / stretch])
    affine.Rotate(0, 1, np.deg2rad(rng.uniform(-limits.rotation_degrees, limits.rotation_degrees)))
    affine.Translate((rng.uniform(-limits.shift, limits.shift, 2) * (columns, rows)).tolist())
    image = SimpleITK.GetImageFromArray(picture, isVector=True)
    if rng.random() < 0.5:
        image = SimpleITK.SmoothingRecursiveGaussian(image, rng.uniform(0.3, limits.blur_pixels))
    moved = SimpleITK.Resample(image, image, affine, SimpleITK.sitkLinear, 0.0)
    return np.asarray(SimpleITK.GetArrayFromImage(moved), np.float32).reshape(picture.shape)


def _erase(picture: Pixels, rng: Generator) -> None:
    """Cover a rectangle of up to a third of each side with one grey, in place."""
    rows, columns = picture.shape[:2]
    height, width = int(rows * rng.uniform(0.08, 0.33)), int(columns * rng.uniform(0.08, 0.33))
    top, left = rng.integers(0, rows - height), rng.integers(0, columns - width)
    picture[top : top + height, left : left + width] = rng.uniform(0.0, 0.6)
