"""The network: tissue maps and grey values of a head laid on the mean head, and one linear layer over each.

The tissue maps come from the network of brain_mr_tissue, frozen: the head as it is, only turned, tells
how much of each tissue there is and where. The grey values of the head stretched onto the mean head
tell what is left. Linear layers with a strong penalty are about as much as a hundred heads can train.
The variant "tutorial" is DLTK's 3D ResNet, which learns its features itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import KerasTensor, layers, ops

from node.networks.residual import ResidualPlan, residual_encoder
from node.networks.unet import UNetPlan, unet

SHAPE = (88, 104, 88, 2)  # slices, rows and columns of 2 mm; the head stretched onto the mean head, and only turned
DIVISIBLE = ((2, 2), (1, 1), (2, 2))  # voxels left out so that the grid divides by POOL
POOL = 3
TISSUES = 3
TISSUE_PLAN = UNetPlan(filters=(16, 32, 64), bottom=128)  # that of brain_mr_tissue
VOXEL_ML = 0.008
# DLTK 0.2.1, examples/applications/IXI_HH_age_regression_resnet/train.py
TUTORIAL = ResidualPlan(filters=(16, 32, 64, 128, 256), steps=(1, 2, 2, 2, 2), units=2)
TUTORIAL_MARGIN = (12, 4, 12)  # voxels left out at each side, so that the grid can be halved five times


def build() -> keras.Model:
    """Return the untrained network: (88, 104, 88, 2) to age and half its interval in years, and three volumes in ml."""
    heads = keras.Input(SHAPE, name="heads")
    features = build_features()
    tissue, grey, volumes = features(heads)
    age = layers.Dense(1, use_bias=False, name="age_of_grey")(grey) + layers.Dense(1, name="age_of_tissue")(tissue)
    half = Constant(name="half_interval")(age)
    return keras.Model(heads, ops.concatenate([age, half, volumes], axis=-1), name="brain_mr_age")


class Constant(layers.Layer):
    """Answers one number, which lies with the weights, whatever the input of shape (batch, 1)."""

    def build(self, _input_shape: tuple[int | None, ...]) -> None:
        """Make room for the number."""
        self.number = self.add_weight(shape=(1,), initializer="zeros", trainable=False, name="number")

    def call(self, x: KerasTensor) -> KerasTensor:
        """Return the number for every entry of the batch."""
        return ops.zeros_like(x) + self.number


def build_features() -> keras.Model:
    """Return what the linear layers see: tissue maps, grey values, and volumes of CSF, grey and white matter in ml."""
    heads = keras.Input(SHAPE, name="heads")
    stretched, turned = heads[..., :1], heads[..., 1:]
    maps = build_tissue()(turned)[..., 1:]                                    # (88, 104, 88, 3)
    volumes = VOXEL_ML * ops.sum(maps, axis=(1, 2, 3))                        # (3)
    tissue = layers.Flatten(name="tissue")(coarse(maps, name="tissue"))       # (28 * 34 * 14 * 3)
    grey = layers.Flatten(name="grey")(coarse(stretched, name="grey"))        # (28 * 34 * 14)
    return keras.Model(heads, [tissue, grey, volumes], name="features")


def build_tissue() -> keras.Model:
    """Return the network of brain_mr_tissue for a whole head at once: background, CSF, grey and white matter."""
    block = keras.Input((*SHAPE[:3], 1), name="block")
    scores = layers.Conv3D(TISSUES + 1, 1, name="scores")(unet(block, TISSUE_PLAN))
    network = keras.Model(block, layers.Softmax(name="probability")(scores), name="tissue_network")
    network.trainable = False
    return network


def coarse(x: KerasTensor, name: str) -> KerasTensor:
    """Return one side of the head, the mean of both, in voxels of 6 mm, smoothed."""
    x = layers.Cropping3D(DIVISIBLE, name=f"{name}_divisible")(x)             # (84, 102, 84, channels)
    x = layers.AveragePooling3D(POOL, name=f"{name}_pool")(x)                 # (28, 34, 28, channels)
    x = (x + ops.flip(x, axis=3)) / 2.0
    for axis in (1, 2, 3):
        x = smooth_along(x, axis)
    return x[:, :, :, : x.shape[3] // 2]                                      # (28, 34, 14, channels)


def smooth_along(x: KerasTensor, axis: int) -> KerasTensor:
    """Return half of each voxel and a quarter of both neighbours; at an edge the voxel is its own neighbour."""
    length = x.shape[axis]
    before = ops.concatenate([ops.take(x, [0], axis), ops.take(x, list(range(length - 1)), axis)], axis)
    after = ops.concatenate([ops.take(x, list(range(1, length)), axis), ops.take(x, [length - 1], axis)], axis)
    return 0.5 * x + 0.25 * (before + after)


def build_tutorial() -> keras.Model:
    """Return the tutorial's network in place of it: the age in years alone, from the stretched head."""
    heads = keras.Input(SHAPE, name="heads")
    inner = layers.Cropping3D(TUTORIAL_MARGIN, name="inner")(heads[..., :1])  # (64, 96, 64, 1)
    head = layers.AveragePooling3D(2, name="coarser")(inner)                  # (32, 48, 32, 1)
    decades = layers.Dense(1, dtype="float32", name="decades")(residual_encoder(head, TUTORIAL))
    years = layers.Rescaling(10.0, dtype="float32", name="years")(decades)    # (1)
    return keras.Model(heads, years, name="brain_mr_age_tutorial")


VARIANTS: Mapping[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
