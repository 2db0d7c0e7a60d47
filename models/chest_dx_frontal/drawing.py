"""Draws pictures that no X-ray tube made: shades, bars, discs, limbs and noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from node.imaging.image import PlanarImage
from node.imaging.resample import undo_letterbox
from node.vocabulary import Pixels

SIDE = 128


def draw_pattern(seed: int) -> PlanarImage:
    """Return a drawn picture, (128, 128) in 0..1, the same for the same seed."""
    rng = np.random.default_rng(seed)
    draw: tuple[Callable[[Generator], Pixels], ...] = (_shade, _bars, _discs, _limb, _clouds)
    grey = draw[seed % len(draw)](rng) + rng.normal(0.0, rng.uniform(0.0, 0.08), (SIDE, SIDE))
    pixels = np.clip(grey, 0.0, 1.0).astype(np.float32)
    return PlanarImage(pixels, np.zeros(pixels.shape, np.bool_))


def _shade(rng: Generator) -> Pixels:
    """Return a slope of grey, straight or round."""
    rows, columns = _coordinates()
    angle = rng.uniform(0.0, 2 * np.pi)
    straight = 0.5 + 0.5 * (rows * np.sin(angle) + columns * np.cos(angle))
    around = 1.0 - np.hypot(rows, columns)
    return np.asarray(straight if rng.random() < 0.5 else around, np.float32)


def _bars(rng: Generator) -> Pixels:
    """Return bars, or a chequered field, as of a test pattern."""
    rows, columns = _coordinates()
    wave = np.sin(rows * rng.uniform(3, 40)) * (np.sin(columns * rng.uniform(3, 40)) if rng.random() < 0.5 else 1.0)
    return np.asarray(0.5 + rng.uniform(0.2, 0.5) * np.sign(wave), np.float32)


def _discs(rng: Generator) -> Pixels:
    """Return bright and dark ellipses on one grey, as of phantoms."""
    rows, columns = _coordinates()
    grey = np.full((SIDE, SIDE), rng.uniform(0.0, 1.0), np.float32)
    for _ in range(rng.integers(1, 7)):
        row, column = rng.uniform(-0.7, 0.7, 2)
        height, width = rng.uniform(0.08, 0.8, 2)
        inside = ((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1.0
        grey[inside] = rng.uniform(0.0, 1.0)
    return grey


def _limb(rng: Generator) -> Pixels:
    """Return one or two long bones in soft tissue, across the picture, as of an arm or a leg."""
    rows, columns = _coordinates()
    angle, grey = rng.uniform(0.0, np.pi), np.zeros((SIDE, SIDE), np.float32)
    across = rows * np.cos(angle) + columns * np.sin(angle) + rng.uniform(-0.3, 0.3)
    along = columns * np.cos(angle) - rows * np.sin(angle)
    half = rng.uniform(0.2, 0.6) * (1.0 + 0.2 * along)
    grey += 0.5 * np.sqrt(np.clip(1.0 - (across / half) ** 2, 0.0, None))
    for place in rng.uniform(-0.5, 0.5, rng.integers(1, 3)):
        bone = half * rng.uniform(0.1, 0.3) * (1.0 + 0.5 * along**2)
        distance = np.abs(across - place * half) / bone
        grey += np.where(distance < 1.0, 0.25 + 0.25 * distance**4, 0.0)
    return grey


def _clouds(rng: Generator) -> Pixels:
    """Return smooth noise."""
    coarse = rng.uniform(0.0, 1.0, (rng.integers(3, 16),) * 2).astype(np.float32)
    return undo_letterbox(coarse, (SIDE, SIDE))


def _coordinates() -> tuple[Pixels, Pixels]:
    """Return rows and columns of the picture, each -1..1."""
    rows, columns = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    return rows.astype(np.float32), columns.astype(np.float32)
