"""The networks: a small one that says which disease a flattened retina shows, and the one of the tutorial.

A hundred pictures are too few to learn what an edge is: a convolutional network of 76,000 weights did no
better than chance on the first patients held out. The small network therefore measures edges by direction, in two
resolutions and by place (after Dalal N, Triggs B: Histograms of Oriented Gradients, CVPR 2005, with sharper
directions), and learns only how to weigh them. The tutorial's is VGG16 (Simonyan K, Zisserman A: Very Deep
Convolutional Networks for Large-Scale Image Recognition, ICLR 2015, table 1, column D) with a new head in
place of the 1,000 classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
from keras import KerasTensor, layers, ops

ROWS, COLUMNS = 96, 192
CLASSES = 4
SCALES = (1, 2)
DIRECTIONS = 16
SHARPNESS = 4
CELLS = (12, 6)  # along the height, which tells the layer of the retina, and along the retina
DROPOUT = 0.2
DECAY = 0.15  # pulls weights of features of unit spread to zero
LEAST = 1e-4

VGG16_SIZE = 224
VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # filters and convolutions
VGG16_DENSE = 4096
HEAD_HIDDEN = 256


def build() -> keras.Model:
    """Return the untrained network: (96, 192, 1) in 0..1 to (4,), the probability of each class."""
    picture = keras.Input((ROWS, COLUMNS, 1), name="picture")
    histograms = [edge_histogram(picture, scale) for scale in SCALES]         # twice (1152,)
    x = layers.Concatenate(name="features")(histograms)                       # (2304,)
    x = layers.BatchNormalization(momentum=0.9, center=False, scale=False, name="norm")(x)
    x = layers.Dropout(DROPOUT, name="dropout")(x)
    classes = layers.Dense(
        CLASSES,
        activation="softmax",
        kernel_initializer="zeros",
        kernel_regularizer=keras.regularizers.L2(DECAY),
        name="classes",
    )(x)
    return keras.Model(picture, classes, name="retina_opt_disease")


def edge_histogram(picture: KerasTensor, scale: int) -> KerasTensor:
    """Return the root of the share that each direction and cell has in all edges of the picture."""
    name = f"scale{scale}"
    x = picture if scale == 1 else layers.AveragePooling2D(scale, name=f"{name}_shrink")(picture)
    x = DirectedEdges(DIRECTIONS, SHARPNESS, name=f"{name}_edges")(x)         # (96 / scale, 192 / scale, 16)
    cell = (ROWS // scale // CELLS[0], COLUMNS // scale // CELLS[1])
    x = layers.AveragePooling2D(cell, name=f"{name}_cells")(x)                # (12, 6, 16)
    return RootOfShare(name=f"{name}_share")(layers.Flatten(name=f"{name}_flat")(x))


class DirectedEdges(layers.Layer):
    """How strongly the grey rises at each pixel towards each of several directions: (rows, columns, directions)."""

    def __init__(self, directions: int, sharpness: int, **kwargs: str) -> None:
        super().__init__(**kwargs)
        angles = [2.0 * math.pi * number / directions for number in range(directions)]
        self._across = [math.cos(angle) for angle in angles]
        self._down = [math.sin(angle) for angle in angles]
        self._sharpness = sharpness

    def call(self, picture: KerasTensor) -> KerasTensor:
        """Return the slope along each direction, times a power of the cosine between it and the steepest."""
        padded = ops.pad(picture, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="reflect")
        across = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) / 2.0
        down = (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) / 2.0
        steepest = ops.sqrt(across**2 + down**2) + LEAST
        along = across * ops.array(self._across, picture.dtype) + down * ops.array(self._down, picture.dtype)
        rising = ops.relu(along)
        return rising * (rising / steepest) ** (self._sharpness - 1)


class RootOfShare(layers.Layer):
    """The square root of the share that each number has in the sum of all; none is negative."""

    def call(self, numbers: KerasTensor) -> KerasTensor:
        """Return numbers whose squares sum to one."""
        return ops.sqrt((numbers + LEAST**2) / (ops.sum(numbers, axis=-1, keepdims=True) + LEAST))


def build_tutorial() -> keras.Model:
    """Return (224, 224, 3) to (4,), logarithms of probabilities: 135,310,404 parameters, 1,049,860 trainable.

    All but the head is frozen, and zero until the weights of ImageNet are loaded; its layers bear the names
    that those weights have.
    """
    picture = keras.Input((VGG16_SIZE, VGG16_SIZE, 3), name="picture")
    x = picture
    for block, (filters, convolutions) in enumerate(VGG16_BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            convolution = layers.Conv2D(
                filters,
                3,
                padding="same",
                activation="relu",
                kernel_initializer="zeros",
                name=f"block{block}_conv{number}",
            )
            x = frozen(convolution)(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)              # (112 .. 7, filters)
    x = layers.Flatten(name="flatten")(x)                                     # (25088,)
    for name in ("fc1", "fc2"):
        dense = layers.Dense(VGG16_DENSE, activation="relu", kernel_initializer="zeros", name=name)
        x = frozen(dense)(x)                                                  # (4096,)
    x = layers.Dense(HEAD_HIDDEN, activation="relu", name="head_hidden")(x)   # (256,)
    x = layers.Dropout(DROPOUT, name="head_dropout")(x)
    classes = layers.Dense(CLASSES, activation="log_softmax", dtype="float32", name="classes")(x)
    return keras.Model(picture, classes, name="tutorial")


def frozen(layer: keras.Layer) -> keras.Layer:
    """Return the layer, which training then leaves as it is."""
    layer.trainable = False
    return layer


VARIANTS: dict[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
