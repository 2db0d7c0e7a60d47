"""The network: a small 3D U-Net that maps a cube of lung to the probability that a voxel belongs to a nodule.

Çiçek Ö et al.: 3D U-Net: Learning Dense Volumetric Segmentation from Sparse Annotation. MICCAI 2016, LNCS
9901, 424-432, figure 2. It differs from the figure in three ways: convolutions begin and end with a stride,
so that all work is done at 3 mm and a CPU answers for a chest in seconds; a seventieth of the weights;
and zero-padded convolutions, so that output and input have the same size.
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

SIDE = 48
STEM_FILTERS = 16
FILTERS = (16, 32)
BOTTOM_FILTERS = 40
# Nodules fill about this share of the voxels: the network begins by saying so everywhere.
FIRST_LOGIT = -5.0


def build() -> keras.Model:
    """Return the untrained network: (48, 48, 48, 1) in -1..1 to (48, 48, 48, 1), a probability."""
    return build_for(SIDE)


def build_for(side: int) -> keras.Model:
    """Return the untrained network for cubes of another side, a multiple of 8, with the same weights."""
    cube = keras.Input((side, side, side, 1), name="cube")
    x = layers.Conv3D(STEM_FILTERS, 4, strides=2, padding="same", name="stem")(cube)  # (S, S, S, 16), S half the side
    skips = []

    for level, filters in enumerate(FILTERS, start=1):
        skip = double_conv(x, filters, name=f"down{level}")           # (S, S, S, filters)
        x = layers.MaxPooling3D(name=f"down{level}_pool")(skip)       # (S/2, S/2, S/2, filters)
        skips.append(skip)

    x = double_conv(x, BOTTOM_FILTERS, name="bottom")                 # (S, S, S, 40), S an eighth of the side

    for level, filters in reversed(list(enumerate(FILTERS, start=1))):
        x = layers.Conv3DTranspose(filters, 2, strides=2, name=f"up{level}_grow")(x)
        x = layers.Concatenate(name=f"up{level}_join")([skips[level - 1], x])
        x = conv(x, filters, name=f"up{level}")                       # (2S, 2S, 2S, filters)

    nodule = layers.Conv3DTranspose(
        1, 2, strides=2, activation="sigmoid", dtype="float32", name="nodule",
        bias_initializer=keras.initializers.Constant(FIRST_LOGIT),
    )(x)                                                              # (side, side, side, 1)
    return keras.Model(cube, nodule, name="chest_ct_nodule")


def double_conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Convolve 3x3x3 twice, each time normalised and rectified."""
    return conv(conv(x, filters, f"{name}a"), filters, f"{name}b")


def conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Convolve 3x3x3, normalise and rectify."""
    x = layers.Conv3D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
