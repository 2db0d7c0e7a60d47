"""The network: a U-Net that maps a chest X-ray to the probability that a pixel shows lung.

Ronneberger O, Fischer P, Brox T: U-Net: Convolutional Networks for Biomedical Image Segmentation.
MICCAI 2015, LNCS 9351, 234-241, figure 1. It differs from the figure in three ways: a quarter of
the filters, so that a CPU answers in well under a second; zero-padded convolutions, so that output
and input have the same size; and batch normalisation, which lets fifty pictures train it. The variant
"tutorial" has half the filters of the figure and no dropout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import KerasTensor, layers

SIZE = 256
FILTERS = (16, 32, 64, 128)
DROPOUT = 0.2
TUTORIAL_FILTERS = (32, 64, 128, 256)


def build() -> keras.Model:
    """Return the untrained network: (256, 256, 1) in -1..1 to (256, 256, 1), a probability."""
    return unet(FILTERS, DROPOUT)


def build_tutorial() -> keras.Model:
    """Return the untrained network of the tutorial, with the same input and output and four times the parameters."""
    return unet(TUTORIAL_FILTERS, dropout=0.0)


def unet(level_filters: tuple[int, ...], dropout: float) -> keras.Model:
    """Return a U-Net with these filters on the levels down and up, and twice the last at the bottom."""
    picture = keras.Input((SIZE, SIZE, 1), name="picture")
    x, skips = picture, []

    for level, filters in enumerate(level_filters, start=1):
        skip = double_conv(x, filters, name=f"down{level}")           # (H, W, filters)
        x = layers.MaxPooling2D(name=f"down{level}_pool")(skip)       # (H/2, W/2, filters)
        skips.append(skip)

    x = double_conv(x, 2 * level_filters[-1], name="bottom")          # (16, 16, filters)
    x = layers.Dropout(dropout, name="bottom_dropout")(x)

    for level, filters in reversed(list(enumerate(level_filters, start=1))):
        x = up_conv(x, filters, name=f"up{level}")                    # (2H, 2W, filters)
        x = layers.Concatenate(name=f"up{level}_join")([skips[level - 1], x])
        x = double_conv(x, filters, name=f"up{level}")                # (2H, 2W, filters)

    lung = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lung")(x)  # (256, 256, 1)
    return keras.Model(picture, lung, name="chest_dx_lungs")


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


VARIANTS: Mapping[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
