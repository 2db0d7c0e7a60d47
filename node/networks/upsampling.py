"""Brings feature maps to a finer grid by linear interpolation, without weights."""

from __future__ import annotations

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
        sides = zip(input_shape[1:-1], self.factors, strict=True)
        return input_shape[0], *(None if side is None else side * factor for side, factor in sides), input_shape[-1]

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
