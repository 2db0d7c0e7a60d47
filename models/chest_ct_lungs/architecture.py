"""The network: a U-Net that maps a slice of a chest CT to the probability that a pixel shows lung.

Ronneberger O, Fischer P, Brox T: U-Net: Convolutional Networks for Biomedical Image Segmentation.
MICCAI 2015, LNCS 9351, 234-241, figure 1. It differs from the figure in four ways: it sees the
slices above and below too, which tell bowel from lung; a fifth of the filters, so that a CPU
answers for a whole series in seconds; zero-padded convolutions, so that output and input have the
same size; and batch normalisation.
"""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

ROWS, COLUMNS = 160, 224
SLICES = 3
FILTERS = (12, 24, 48, 96)
BOTTOM_FILTERS = 128
DROPOUT = 0.1


def build() -> keras.Model:
    """Return the untrained network: (160, 224, 3) in -1..1 to (160, 224, 1), a probability."""
    slices = keras.Input((ROWS, COLUMNS, SLICES), name="slices")
    x, skips = slices, []

    for level, filters in enumerate(FILTERS, start=1):
        skip = double_conv(x, filters, name=f"down{level}")           # (H, W, filters)
        x = layers.MaxPooling2D(name=f"down{level}_pool")(skip)       # (H/2, W/2, filters)
        skips.append(skip)

    x = double_conv(x, BOTTOM_FILTERS, name="bottom")                 # (10, 14, 128)
    x = layers.Dropout(DROPOUT, name="bottom_dropout")(x)

    for level, filters in reversed(list(enumerate(FILTERS, start=1))):
        x = up_conv(x, filters, name=f"up{level}")                    # (2H, 2W, filters)
        x = layers.Concatenate(name=f"up{level}_join")([skips[level - 1], x])
        x = double_conv(x, filters, name=f"up{level}")                # (2H, 2W, filters)

    lung = layers.Conv2D(1, 1, activation="sigmoid", name="lung")(x)  # (160, 224, 1)
    return keras.Model(slices, lung, name="chest_ct_lungs")


def double_conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Convolve 3x3 twice, each time normalised and rectified: the blue arrows of the figure."""
    for step in "ab":
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}{step}_conv")(x)
        x = layers.BatchNormalization(momentum=0.95, name=f"{name}{step}_norm")(x)
        x = layers.ReLU(name=f"{name}{step}_relu")(x)
    return x


def up_conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Double the grid with a 2x2 transposed convolution: the green arrow of the figure."""
    return layers.Conv2DTranspose(filters, 2, strides=2, name=f"{name}_grow")(x)
