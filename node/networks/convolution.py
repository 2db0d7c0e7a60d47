"""Convolution, pooling and normalisation for two or three axes, whichever the tensor has."""

from __future__ import annotations

from enum import StrEnum

from keras import KerasTensor, layers

BATCH_MOMENTUM = 0.95  # fifty small batches are enough to settle the statistics
MOST_GROUPS = 8


class Norm(StrEnum):
    """How channels are brought to one scale.

    `BATCH` suits batches of eight and more, `GROUP` smaller ones (Wu and He, ECCV 2018), `INSTANCE`
    images whose grey values mean nothing across patients, and `NONE` regression of grey values.
    """

    BATCH = "batch"
    GROUP = "group"
    INSTANCE = "instance"
    NONE = "none"


def axes_of(x: KerasTensor) -> int:
    """Return how many axes in space (batch, …, channels) has."""
    return len(x.shape) - 2


def convolve(x: KerasTensor, filters: int, size: int, name: str, *, strides: int | tuple[int, ...] = 1) -> KerasTensor:
    """Convolve without bias and zero-padded, so that only `strides` change the grid."""
    layer = layers.Conv2D if axes_of(x) == 2 else layers.Conv3D
    return layer(filters, size, strides=strides, padding="same", use_bias=False, name=name)(x)


def normalise(x: KerasTensor, norm: Norm, name: str) -> KerasTensor:
    """Bring the channels to one scale; `Norm.NONE` returns x as it is."""
    if norm is Norm.NONE:
        return x
    if norm is Norm.BATCH:
        return layers.BatchNormalization(momentum=BATCH_MOMENTUM, name=name)(x)
    groups = -1 if norm is Norm.INSTANCE else _groups(x.shape[-1])
    return layers.GroupNormalization(groups, name=name)(x)


def max_pool(x: KerasTensor, factors: int | tuple[int, ...], name: str) -> KerasTensor:
    """Keep the highest value of each block of `factors` voxels."""
    layer = layers.MaxPooling2D if axes_of(x) == 2 else layers.MaxPooling3D
    return layer(factors, name=name)(x)


def global_mean(x: KerasTensor, name: str) -> KerasTensor:
    """Return the mean of each channel, (batch, channels)."""
    layer = layers.GlobalAveragePooling2D if axes_of(x) == 2 else layers.GlobalAveragePooling3D
    return layer(name=name)(x)


def grow(x: KerasTensor, filters: int, name: str, *, factors: int | tuple[int, ...] = 2) -> KerasTensor:
    """Make the grid finer by a transposed convolution whose kernel is as large as its step."""
    layer = layers.Conv2DTranspose if axes_of(x) == 2 else layers.Conv3DTranspose
    return layer(filters, factors, strides=factors, name=name)(x)


def _groups(channels: int) -> int:
    """Return the highest number of groups up to `MOST_GROUPS` that divides the channels."""
    return max(groups for groups in range(1, MOST_GROUPS + 1) if channels % groups == 0)
