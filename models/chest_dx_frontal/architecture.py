"""The network: a small convolutional classifier that says how a chest lies in a picture, if there is one."""

from __future__ import annotations

import keras
from keras import KerasTensor, layers

SIZE = 128
FILTERS = (16, 24, 40, 64)
CLASSES = 6  # in the order of `preprocess.KINDS`
DROPOUT = 0.3


def build() -> keras.Model:
    """Return the untrained network: (128, 128, 1) in -1..1 to the probabilities of six kinds of picture."""
    picture = keras.Input((SIZE, SIZE, 1), name="picture")
    x: KerasTensor = picture

    for level, filters in enumerate(FILTERS, start=1):
        x = conv(x, filters, name=f"level{level}a")
        x = conv(x, filters, name=f"level{level}b")                   # (H, W, filters)
        x = layers.MaxPooling2D(name=f"level{level}_pool")(x)         # (H/2, W/2, filters)

    # Which way a chest lies is in where things are: the coarse map is kept, not its mean.
    x = layers.AveragePooling2D(2, name="coarse")(x)                     # (4, 4, 64)
    x = layers.Flatten(name="flat")(x)                                # (1024)
    x = layers.Dropout(DROPOUT, name="dropout")(x)
    kind = layers.Dense(CLASSES, activation="softmax", dtype="float32", name="kind")(x)
    return keras.Model(picture, kind, name="chest_dx_frontal")


def conv(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Convolve 3x3, normalise and rectify."""
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)
