"""The networks: a small residual network that says which tumour a slice shows, and the one of the tutorial.

Residual units after He K, Zhang X, Ren S, Sun J: Deep Residual Learning for Image Recognition, CVPR
2016, figure 2; the weighting of channels after Hu J, Shen L, Sun G: Squeeze-and-Excitation Networks,
CVPR 2018, figure 3. It is a twentieth of a ResNet-34, so that two CPU cores can train it.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor, layers

SIZE = 128
CLASSES = 4
STEM = 32
STAGES = ((64, 2), (128, 2), (176, 1))  # filters and units; the first unit of each halves the grid
SQUEEZE = 8
DROPOUT = 0.2

TUTORIAL_SIZE = 130
OFFICIAL = "tutorial_official"


def build() -> keras.Model:
    """Return the untrained network: (128, 128, 1) in 0..1 to (4,), the probability of each class."""
    return build_for(SIZE)


def build_for(size: int) -> keras.Model:
    """Return the same network for pictures of another size, which has the same weights."""
    picture = keras.Input((size, size, 1), name="picture")
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(picture)
    x = _norm(x, "stem")
    x = layers.Activation("silu", name="stem_act")(x)                        # (64, 64, 32)

    for stage, (filters, units) in enumerate(STAGES, start=1):
        for unit in range(1, units + 1):
            x = residual_unit(x, filters, unit == 1, name=f"stage{stage}_unit{unit}")  # (32, 16, 8; filters)

    x = layers.GlobalAveragePooling2D(name="pool")(x)                        # (176,)
    x = layers.Dropout(DROPOUT, name="dropout")(x)
    classes = layers.Dense(CLASSES, activation="softmax", dtype="float32", name="classes")(x)
    return keras.Model(picture, classes, name="brain_mr_tumour_type")


def residual_unit(x: KerasTensor, filters: int, halves: bool, name: str) -> KerasTensor:
    """Add two normalised convolutions, their channels weighted, to what came in; `halves` the grid if asked."""
    y = layers.Conv2D(
        filters, 3, strides=2 if halves else 1, padding="same", use_bias=False, name=f"{name}_conv1"
    )(x)
    y = layers.Activation("silu", name=f"{name}_act1")(_norm(y, f"{name}_1"))
    y = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv2")(y)
    y = weigh_channels(_norm(y, f"{name}_2"), filters, name)
    if halves:
        x = layers.AveragePooling2D(2, name=f"{name}_pool")(x)
    if x.shape[-1] != filters:
        x = _norm(layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_widen")(x), f"{name}_widen")
    return layers.Activation("silu", name=f"{name}_act2")(layers.Add(name=f"{name}_add")([x, y]))


def weigh_channels(x: KerasTensor, filters: int, name: str) -> KerasTensor:
    """Multiply each channel by a weight that follows from the means of all channels."""
    means = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    hidden = layers.Conv2D(filters // SQUEEZE, 1, activation="silu", name=f"{name}_excite1")(means)
    weights = layers.Conv2D(filters, 1, activation="sigmoid", name=f"{name}_excite2")(hidden)
    return layers.Multiply(name=f"{name}_weigh")([x, weights])


def build_tutorial() -> keras.Model:
    """Return the tutorial's network, 2,104,758 parameters: (130, 130, 3) in 0..1 to (4,), probabilities."""
    return keras.Sequential(
        [
            keras.Input((TUTORIAL_SIZE, TUTORIAL_SIZE, 3), name="picture"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv1"),
            layers.MaxPooling2D(2, name="pool1"),                               # (65, 65, 16)
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(2, name="pool2"),                               # (32, 32, 32)
            layers.Dropout(0.2, name="dropout"),
            layers.Flatten(name="flatten"),
            layers.Dense(64, activation="relu", name="dense1"),
            layers.Dense(32, activation="relu", name="dense2"),
            layers.Dense(10, activation="relu", name="dense3"),
            layers.Dense(CLASSES, activation="softmax", dtype="float32", name="classes"),
        ],
        name="tutorial",
    )


def _norm(x: KerasTensor, name: str) -> KerasTensor:
    return layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)


# The second is the same network, trained and tested on the split that the pictures come with.
VARIANTS: dict[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial, OFFICIAL: build_tutorial}
