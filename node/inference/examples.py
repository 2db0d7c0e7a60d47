"""Inputs on which a converted network is compared with Keras: noise, and pictures as networks are fed with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Pixels

Values = NDArray[np.float64]

_SEED = 1
_GRAIN = 0.03
_LUNGS, _LUNG_AT, _LUNG_SIZE = 0.1, 0.4, 0.35  # how bright they are, how far from the middle, how wide


def examples(shape: tuple[int, ...]) -> Pixels:
    """Return (4, *shape) float32, the same every time; `shape` has the axes in space, then the channels.

    They are noise of mean 0 and deviation 1, waves in -1..1, a bright body with two dark lungs in 0..1, and the
    same in -1..1: the ranges that `prepare` of a model gives.
    """
    random = np.random.default_rng(_SEED)
    noise = random.standard_normal(shape)
    body = np.clip(_body(shape) + _GRAIN * random.standard_normal(shape), 0, 1)
    return np.stack([noise, _waves(shape, random), body, 2 * body - 1]).astype(np.float32)


def _waves(shape: tuple[int, ...], random: np.random.Generator) -> Values:
    waves: Values = np.ones(shape)
    for at, count in zip(_axes(shape), random.uniform(1, 6, len(shape)), strict=True):
        waves = waves * np.cos(np.pi * count * at)
    return waves


def _body(shape: tuple[int, ...]) -> Values:
    """Return an ellipsoid of 1 in 0, with two of `_LUNGS` side by side in it."""
    *space, _ = _axes(shape)
    body: Values = np.zeros(shape)
    body[_is_inside(space, 0.0, 0.9, shape)] = 1.0
    for side in (-1, 1):
        body[_is_inside(space, side * _LUNG_AT, _LUNG_SIZE, shape)] = _LUNGS
    return body


def _is_inside(space: list[Values], middle: float, size: float, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Tell which places lie in an ellipsoid whose middle is moved along the last axis in space."""
    distance: Values = np.zeros(shape)
    for number, at in enumerate(space):
        is_last = number == len(space) - 1
        distance = distance + ((at - middle) / size if is_last else at / 0.8) ** 2
    inside: NDArray[np.bool_] = distance < 1
    return inside


def _axes(shape: tuple[int, ...]) -> list[Values]:
    """Return -1..1 along each axis, shaped to be combined with (*shape)."""
    return list(np.meshgrid(*[np.linspace(-1, 1, side) for side in shape], indexing="ij", sparse=True))
