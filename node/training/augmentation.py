"""Draws variations of a labelled picture that another machine, patient or exposure could have given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.random import Generator

from node.imaging.resample import undo_letterbox
from node.training.samples import BACKGROUND, Truth
from node.vocabulary import Pixels


@dataclass(frozen=True)
class Augmentation:
    """How far variations go; each amount is drawn evenly or normally within its limit.

    Lengths are fractions of the picture's side; grey values are fractions of the range from `black`
    to `white`. `flips` mirrors half of the pictures and suits masks that do not tell sides apart.
    """

    black: float
    white: float
    flips: bool = True
    rotation_degrees: float = 15.0
    scale: float = 0.25
    stretch: float = 0.10
    shift: float = 0.10
    bend: float = 0.03
    gamma: float = 0.35
    contrast: float = 0.25
    shading: float = 0.15
    opacity: float = 0.5
    noise: float = 0.06
    blur_pixels: float = 1.5


def augment(picture: Pixels, truth: Truth, limits: Augmentation, rng: Generator) -> tuple[Pixels, Truth]:
    """Return a varied (rows, columns, channels) picture and the (rows, columns) truth moved with it.

    Channels are neighbouring views of one place: all are moved and changed alike, only noise differs.
    """
    way = _draw_way(picture.shape, limits, rng)
    moved_picture = _move(picture, way, SimpleITK.sitkLinear, limits.black)
    moved_truth = _move(truth, way, SimpleITK.sitkNearestNeighbor, BACKGROUND)
    grey = (moved_picture - limits.black) / (limits.white - limits.black)
    varied = np.clip(_vary_grey(grey, limits, rng), 0.0, 1.0)
    return varied * (limits.white - limits.black) + limits.black, moved_truth


def _draw_way(shape: tuple[int, ...], limits: Augmentation, rng: Generator) -> SimpleITK.Transform:
    """Draw where each pixel of the new picture comes from: one affine map, then a smooth bend."""
    side = float(max(shape[:2]))
    affine = SimpleITK.AffineTransform(2)
    affine.SetCenter([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    stretch = 1.0 + rng.uniform(-limits.stretch, limits.stretch)
    scale = np.exp(rng.uniform(-limits.scale, limits.scale))
    mirror = -1.0 if limits.flips and rng.random() < 0.5 else 1.0
    affine.Scale([mirror * scale * stretch, scale / stretch])
    affine.Rotate(0, 1, np.deg2rad(rng.uniform(-limits.rotation_degrees, limits.rotation_degrees)))
    affine.Translate((rng.uniform(-limits.shift, limits.shift, 2) * side).tolist())

    grid = SimpleITK.Image([shape[1], shape[0]], SimpleITK.sitkUInt8)
    bend = SimpleITK.BSplineTransformInitializer(grid, [4, 4])
    bend.SetParameters(rng.normal(0.0, limits.bend * side, len(bend.GetParameters())).tolist())
    return SimpleITK.CompositeTransform([bend, affine])


def _move(array: Pixels, way: SimpleITK.Transform, interpolator: int, outside: float) -> Pixels:
    image = SimpleITK.GetImageFromArray(array, isVector=array.ndim == 3)
    moved = SimpleITK.Resample(image, image, way, interpolator, float(outside))
    return np.asarray(SimpleITK.GetArrayFromImage(moved), np.float32).reshape(array.shape)


def _vary_grey(grey: Pixels, limits: Augmentation, rng: Generator) -> Pixels:
    """Vary the exposure of a picture in 0..1: opacities, shading, gamma, contrast, blur and noise."""
    varied = grey + _opacities(grey.shape, limits, rng) + _shading(grey.shape, limits, rng)
    varied = np.clip(varied, 0.0, 1.0) ** np.exp(rng.normal(0.0, limits.gamma))
    varied = (varied - 0.5) * np.exp(rng.normal(0.0, limits.contrast)) + 0.5
    varied = varied + rng.normal(0.0, limits.contrast / 4)
    if rng.random() < 0.5:
        varied = _blur(varied, rng.uniform(0.3, limits.blur_pixels))
    if rng.random() < 0.5:
        varied = varied + rng.normal(0.0, rng.uniform(0.0, limits.noise), grey.shape)
    return varied.astype(np.float32)


def _opacities(shape: tuple[int, ...], limits: Augmentation, rng: Generator) -> Pixels:
    """Draw up to three soft white patches, as a consolidation or an effusion would add."""
    added = np.zeros((shape[0], shape[1], 1), np.float32)
    if rng.random() < 0.5:
        return added
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]] / max(shape[:2])
    for _ in range(rng.integers(1, 4)):
        row, column = rng.uniform(0.1, 0.9, 2)
        height, width = rng.uniform(0.03, 0.15, 2)
        distance = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2
        added[..., 0] += rng.uniform(0.1, limits.opacity) * np.exp(-distance / 2)
    return added


def _shading(shape: tuple[int, ...], limits: Augmentation, rng: Generator) -> Pixels:
    """Draw a slow change of grey over the picture, as uneven exposure gives."""
    coarse = rng.normal(0.0, limits.shading, (4, 4)).astype(np.float32)
    return undo_letterbox(coarse, (shape[0], shape[1]))[..., np.newaxis]


def _blur(grey: Pixels, sigma_pixels: float) -> Pixels:
    image = SimpleITK.GetImageFromArray(grey.astype(np.float32), isVector=True)
    blurred = SimpleITK.SmoothingRecursiveGaussian(image, sigma_pixels)
    return np.asarray(SimpleITK.GetArrayFromImage(blurred), np.float32).reshape(grey.shape)
