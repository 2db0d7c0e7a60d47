"""Brings feature maps to a finer grid: linear interpolation without weights, and channels spread over voxels."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import KerasTensor, ops


@keras.saving.register_keras_serializable(package="radnode")
class LinearUpsampling(keras.layers.Layer):
    """Interpolates (batch, …, channels) linearly to a grid finer by whole `factors`, one for each axis.

    Both grids cover the same box, so a voxel is split into `factor` parts of equal size; half a voxel
    at the edges repeats the outermost value. It has no weights, and gradients pass through it.
    """

    def __init__(self, factors: tuple[int, ...], **options: Any) -> None:
        super().__init__(**options)
        self.factors = tuple(factors)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Return the finer map."""
        finer = inputs
        for axis, factor in enumerate(self.factors, start=1):
            if factor > 1:
                finer = _interpolate(finer, axis, factor)
        return finer

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the shape with every axis as many times longer as its factor says."""
        return _finer_shape(input_shape, self.factors, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable(package="radnode")
class SubPixelShuffle(keras.layers.Layer):
    """Spreads the channels of each voxel over the `factors` finer voxels that it is split into.

    Shi W et al.: Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
    Convolutional Neural Network, CVPR 2016, figure 1, for two or three axes. Of the product of the
    factors times n channels, n remain; the first axis changes slowest among the channels.
    """

    def __init__(self, factors: tuple[int, ...], **options: Any) -> None:
        super().__init__(**options)
        self.factors = tuple(factors)

    def call(self, inputs: KerasTensor) -> KerasTensor:
        """Return the finer map."""
        axes = len(self.factors)
        sides = ops.shape(inputs)[1 : axes + 1]
        channels = inputs.shape[-1] // math.prod(self.factors)
        split = ops.reshape(inputs, (-1, *sides, *self.factors, channels))
        pairs = [place for axis in range(1, axes + 1) for place in (axis, axis + axes)]
        sorted_ = ops.transpose(split, (0, *pairs, 2 * axes + 1))
        finer = [side * factor for side, factor in zip(sides, self.factors, strict=True)]
        return ops.reshape(sorted_, (-1, *finer, channels))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Return the finer shape with fewer channels."""
        channels = input_shape[-1]
        left = None if channels is None else channels // math.prod(self.factors)
        return _finer_shape(input_shape, self.factors, left)

    def get_config(self) -> dict[str, Any]:
        """Return what rebuilds the layer."""
        return {**super().get_config(), "factors": self.factors}


def _interpolate(x: KerasTensor, axis: int, factor: int) -> KerasTensor:
    """Return x with `factor` values in place of each along one axis, interpolated between neighbours."""
    count = ops.shape(x)[axis]
    first, last = ops.take(x, [0], axis=axis), ops.take(x, [count - 1], axis=axis)
    before = ops.concatenate([first, _slice(x, axis, 0, count - 1)], axis=axis)
    after = ops.concatenate([_slice(x, axis, 1, count), last], axis=axis)
    parts = []
    for part in range(factor):
        offset = (part + 0.5) / factor - 0.5
        neighbour = before if offset < 0 else after
        parts.append((1.0 - abs(offset)) * x + abs(offset) * neighbour)
    finer = ops.stack(parts, axis=axis + 1)
    shape = list(ops.shape(x))
    shape[axis] = count * factor
    return ops.reshape(finer, [-1, *shape[1:]])


def _slice(x: KerasTensor, axis: int, start: int, stop: int) -> KerasTensor:
    index = [slice(None)] * len(x.shape)
    index[axis] = slice(start, stop)
    return x[tuple(index)]


def _finer_shape(
    shape: tuple[int | None, ...], factors: tuple[int, ...], channels: int | None
) -> tuple[int | None, ...]:
    sides = [None if side is None else side * factor for side, factor in zip(shape[1:-1], factors, strict=True)]
    return shape[0], *sides, channels
