"""A convolutional autoencoder for pictures and volumes: the input through a short code and back.

Masci J et al.: Stacked Convolutional Auto-Encoders for Hierarchical Feature Extraction, ICANN 2011, drawn
as DLTK's `convolutional_autoencoder_3d`: per scale some convolutions of which the last halves the grid, one
dense layer to the code and one back, then transposed convolutions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras import KerasTensor, layers

from node.networks.convolution import Norm, axes_of, convolve, grow, normalise

LEAK = 0.1


@dataclass(frozen=True)
class AutoencoderPlan:
    """The size of an autoencoder: filters of each scale, each of which halves the grid, and numbers in the code.

    Every axis must divide by two to the number of scales.
    """

    filters: tuple[int, ...] = (16, 32, 64)
    code: int = 128
    convolutions: int = 1
    norm: Norm = Norm.BATCH


def encode(x: KerasTensor, plan: AutoencoderPlan) -> KerasTensor:
    """Return the code, (batch, numbers)."""
    for scale, filters in enumerate(plan.filters, start=1):
        for number in range(1, plan.convolutions + 1):
            x = _conv(x, filters, plan.norm, 1, name=f"down{scale}_{number}")
        x = _conv(x, filters, plan.norm, 2, name=f"down{scale}_halve")           # (…/2, filters)
    x = layers.Flatten(name="coarsest")(x)
    return layers.Dense(plan.code, name="code")(x)                               # (code)


def decode(code: KerasTensor, plan: AutoencoderPlan, shape: tuple[int, ...]) -> KerasTensor:
    """Return what the code says of an input of `shape` (axes in space, channels), on the same grid."""
    *sides, channels = shape
    coarse = tuple(side // 2 ** len(plan.filters) for side in sides)
    x = layers.Dense(math.prod(coarse) * plan.filters[-1], name="decode")(code)
    x = layers.Reshape((*coarse, plan.filters[-1]), name="decode_grid")(x)
    for scale, filters in reversed(list(enumerate(plan.filters, start=1))):
        x = grow(x, filters, name=f"up{scale}_grow")                             # (…·2, filters)
        x = _activate(x, plan.norm, name=f"up{scale}_grow")
        for number in range(1, plan.convolutions + 1):
            x = _conv(x, filters, plan.norm, 1, name=f"up{scale}_{number}")
    last = layers.Conv2D if axes_of(x) == 2 else layers.Conv3D
    return last(channels, 3, padding="same", dtype="float32", name="rebuilt")(x)


def _conv(x: KerasTensor, filters: int, norm: Norm, step: int, name: str) -> KerasTensor:
    return _activate(convolve(x, filters, 3, name=f"{name}_conv", strides=step), norm, name)


def _activate(x: KerasTensor, norm: Norm, name: str) -> KerasTensor:
    return layers.LeakyReLU(LEAK, name=f"{name}_relu")(normalise(x, norm, name=f"{name}_norm"))
