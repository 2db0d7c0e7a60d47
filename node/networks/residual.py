"""Residual networks for pictures and volumes: an encoder, and a U-Net drawn with residual units.

Units are those of He K et al.: Identity Mappings in Deep Residual Networks, ECCV 2016, figure 1b, as
DLTK draws them (Pawlowski N et al.: DLTK: State of the Art Reference Implementations for Deep Learning
on Medical Images, 2017): normalise and activate before each of two convolutions; a step is a strided
convolution of twice its size beside max-pooling of the identity; channels that the identity lacks are
zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from keras import KerasTensor, layers

from node.networks.channels import ZeroChannels
from node.networks.convolution import Norm, axes_of, convolve, global_mean, max_pool, normalise
from node.networks.upsampling import LinearUpsampling

LEAK = 0.1


@dataclass(frozen=True)
class ResidualPlan:
    """The size of a residual network: filters of each scale, the step into each, and units per scale.

    The first step is 1 where the finest scale has the grid of the input.
    """

    filters: tuple[int, ...] = (16, 32, 64, 128)
    steps: tuple[int, ...] = (1, 2, 2, 2)
    units: int = 2
    norm: Norm = Norm.BATCH


def residual_unit(x: KerasTensor, filters: int, step: int, norm: Norm, name: str) -> KerasTensor:
    """Add two convolutions to what came in; the grid becomes `step` times coarser."""
    identity = max_pool(x, step, name=f"{name}_pool") if step > 1 else x
    y = _activate(x, norm, name=f"{name}_a")
    y = convolve(y, filters, 2 * step if step > 1 else 3, name=f"{name}_a_conv", strides=step)
    y = _activate(y, norm, name=f"{name}_b")
    y = convolve(y, filters, 3, name=f"{name}_b_conv")
    return layers.Add(name=f"{name}_add")([_fit_channels(identity, filters, name), y])


def residual_scales(x: KerasTensor, plan: ResidualPlan) -> list[KerasTensor]:
    """Return the features of every scale, the finest first."""
    x = convolve(x, plan.filters[0], 3, name="first_conv")
    scales = []
    for scale, (filters, step) in enumerate(zip(plan.filters, plan.steps, strict=True), start=1):
        for unit in range(1, plan.units + 1):
            x = residual_unit(x, filters, step if unit == 1 else 1, plan.norm, name=f"scale{scale}_unit{unit}")
        scales.append(x)  # (…/steps so far, filters)
    return scales


def residual_encoder(x: KerasTensor, plan: ResidualPlan) -> KerasTensor:
    """Return one number for each filter of the coarsest scale: what regression and classification start from."""
    coarsest = residual_scales(x, plan)[-1]
    return global_mean(_activate(coarsest, plan.norm, name="last"), name="mean")  # (filters)


def residual_unet(x: KerasTensor, plan: ResidualPlan) -> KerasTensor:
    """Return features on the grid of the finest scale: interpolated linearly on the way up, joined, one unit each.

    DLTK's `residual_unet_3d`.
    """
    scales = residual_scales(x, plan)
    x = scales[-1]
    for scale in range(len(scales) - 1, 0, -1):
        x = LinearUpsampling((plan.steps[scale],) * axes_of(x), name=f"up{scale}_linear")(x)
        x = layers.Concatenate(name=f"up{scale}_join")([scales[scale - 1], x])
        x = residual_unit(x, plan.filters[scale - 1], 1, plan.norm, name=f"up{scale}_unit")
    return _activate(x, plan.norm, name="last")


def _activate(x: KerasTensor, norm: Norm, name: str) -> KerasTensor:
    x = normalise(x, norm, name=f"{name}_norm")
    return layers.LeakyReLU(LEAK, name=f"{name}_relu")(x)


def _fit_channels(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Give the identity as many channels as its unit has: zeros around those there are, or a mixture of more."""
    missing = filters - x.shape[-1]
    if missing < 0:
        return convolve(x, filters, 1, name=f"{name}_mix")
    if missing == 0:
        return x
    around = (missing // 2, math.ceil(missing / 2))
    return ZeroChannels(around, name=f"{name}_widen")(x)
