"""The U-Net for pictures and volumes, up to its last features; a model adds the layer that answers.

Ronneberger O, Fischer P, Brox T: U-Net, MICCAI 2015, LNCS 9351, 234-241, figure 1. Çiçek Ö et al.:
3D U-Net, MICCAI 2016, LNCS 9901, 424-432, figure 2. Convolutions are zero-padded, so that output and
input have the same grid, and normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras import KerasTensor, layers

from node.networks.convolution import Norm, convolve, grow, max_pool, normalise


@dataclass(frozen=True)
class UNetPlan:
    """The size of a U-Net: `filters` for each level from the finest, then `bottom` filters.

    Every axis must divide by two to the number of levels. `dropout` is at the bottom, where it is
    cheapest and blocks have seen most.
    """

    filters: tuple[int, ...] = (16, 32, 64, 128)
    bottom: int = 256
    norm: Norm = Norm.BATCH
    dropout: float = 0.0


def unet(x: KerasTensor, plan: UNetPlan) -> KerasTensor:
    """Return features on the grid of x, as many channels as the finest level has filters."""
    skips = []
    for level, filters in enumerate(plan.filters, start=1):
        skip = double_conv(x, filters, plan.norm, name=f"down{level}")  # (…, filters)
        x = max_pool(skip, 2, name=f"down{level}_pool")                 # (…/2, filters)
        skips.append(skip)

    x = double_conv(x, plan.bottom, plan.norm, name="bottom")           # (…/2^levels, bottom)
    if plan.dropout:
        x = layers.Dropout(plan.dropout, name="bottom_dropout")(x)

    for level, filters in reversed(list(enumerate(plan.filters, start=1))):
        x = grow(x, filters, name=f"up{level}_grow")                    # (…·2, filters)
        x = layers.Concatenate(name=f"up{level}_join")([skips[level - 1], x])
        x = double_conv(x, filters, plan.norm, name=f"up{level}")       # (…·2, filters)
    return x


def double_conv(x: KerasTensor, filters: int, norm: Norm, name: str) -> KerasTensor:
    """Convolve with a kernel of 3 twice, each time normalised and rectified: the blue arrows of the figure."""
    for step in "ab":
        x = convolve(x, filters, 3, name=f"{name}{step}_conv")
        x = normalise(x, norm, name=f"{name}{step}_norm")
        x = layers.ReLU(name=f"{name}{step}_relu")(x)
    return x
