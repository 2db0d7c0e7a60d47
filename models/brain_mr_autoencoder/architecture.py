"""The network: a convolutional autoencoder of a head, and a judge that sees what it could not reproduce.

The autoencoder squeezes the box around a brain through 64 numbers, its embedding, and draws the box again
(Masci J et al., ICANN 2011; DLTK's convolutional autoencoder, 2017). It learns from upright T1 brains only, so
what else it is shown comes out wrong. The judge looks at the box, the copy, their difference and the
embedding, and says whether the box is an upright T1 brain, or what is wrong with it. It learned that from made
misfits (outlier exposure; Hendrycks D et al., ICLR 2019): the error alone hardly tells a good copy of a bad
volume from a bad copy of a good one.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor, layers, ops

SHAPE = (40, 56, 48)
EMBEDDING = 64
KINDS = 6  # what the judge tells apart; preprocess.py names them
FILTERS = (24, 48, 64)
NARROW = 8
SMALL = tuple(side // 2 ** len(FILTERS) for side in SHAPE)  # (5, 7, 6)

TUTORIAL_FILTERS = (16, 32, 64)


def build(channels: int = 1) -> keras.Model:
    """Return the untrained network: (40, 56, 48, channels and their shading) to one row of numbers.

    A channel is a sequence of the same head; the one after them is the shading, for the judge only. The row
    holds the copy of the box (slices, rows, columns, channels), then the embedding, then one score for each kind,
    before the softmax.
    """
    box = keras.Input((*SHAPE, channels + 1), name="box")
    head = box[..., :channels]
    code = encode(head, FILTERS, name="encoder")                             # (64,)
    copy = decode(code, channels)                                            # (40, 56, 48, channels)
    scores = judge(box, head, copy, code)                                      # (6,)
    return keras.Model(box, _row(copy, code, scores), name="brain_mr_autoencoder")


def build_tutorial(channels: int = 1) -> keras.Model:
    """Return a plain autoencoder as in the tutorial: trained by L2 alone, its only score is its mean squared error."""
    box = keras.Input((*SHAPE, channels + 1), name="box")
    head = box[..., :channels]
    code = encode(head, TUTORIAL_FILTERS, name="encoder")
    copy = decode(code, channels)
    error = ops.mean(ops.square(head - copy), axis=(1, 2, 3))                 # (channels,)
    least = -ops.mean(error, axis=-1, keepdims=True)                         # (1,)
    others = ops.repeat(ops.zeros_like(least), KINDS - 1, axis=-1)
    scores = layers.Concatenate(name="scores", dtype="float32")([least, others])
    return keras.Model(box, _row(copy, code, scores), name="tutorial_autoencoder")


VARIANTS: dict[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}


def encode(x: KerasTensor, filters: tuple[int, ...], name: str) -> KerasTensor:
    """Halve the grid once for each number of filters, then describe the whole box in a few numbers."""
    for level, count in enumerate(filters, start=1):
        x = _convolve(x, count, strides=2, name=f"{name}{level}")            # (H/2, W/2, D/2, count)
    x = layers.Conv3D(NARROW, 1, activation="relu", name=f"{name}_narrow")(x)  # (5, 7, 6, 8)
    x = layers.Flatten(name=f"{name}_flat")(x)                               # (1680,)
    return layers.Dense(EMBEDDING, dtype="float32", name="embedding")(x)     # (64,)


def decode(code: KerasTensor, channels: int) -> KerasTensor:
    """Draw the box from its embedding: the steps of the encoder backwards."""
    x = layers.Dense(SMALL[0] * SMALL[1] * SMALL[2] * NARROW, activation="relu", name="decoder_flat")(code)
    x = layers.Reshape((*SMALL, NARROW), name="decoder_narrow")(x)           # (5, 7, 6, 8)
    x = layers.Conv3D(FILTERS[-1], 3, padding="same", activation="relu", name="decoder_wide")(x)
    for level, count in enumerate((*FILTERS[-2::-1], 16), start=1):
        x = layers.Conv3D(count, 3, padding="same", activation="relu", name=f"decoder{level}_conv")(x)
        x = layers.UpSampling3D(2, name=f"decoder{level}_grow")(x)           # (2H, 2W, 2D, count)
    return layers.Conv3D(channels, 3, padding="same", dtype="float32", name="copy")(x)


def judge(box: KerasTensor, head: KerasTensor, copy: KerasTensor, code: KerasTensor) -> KerasTensor:
    """Score each kind from the box, the copy of the head, what differs, and the embedding, which learn nothing here."""
    seen = ops.stop_gradient(copy)
    x = layers.Concatenate(name="judge_sees")([box, seen, ops.abs(head - seen)])  # (40, 56, 48, 4)
    for level, count in enumerate((16, 32, 40), start=1):
        x = _convolve(x, count, strides=2, name=f"judge{level}a")            # (H/2, W/2, D/2, count)
        x = _convolve(x, count, strides=1, name=f"judge{level}b")
    x = layers.Conv3D(12, 1, activation="relu", name="judge_narrow")(x)      # (5, 7, 6, 12)
    x = layers.Flatten(name="judge_flat")(x)
    x = layers.Concatenate(name="judge_join")([x, ops.stop_gradient(code)])
    x = layers.Dropout(0.3, name="judge_dropout")(x)
    x = layers.Dense(48, activation="relu", name="judge_dense")(x)
    return layers.Dense(KINDS, dtype="float32", name="scores")(x)            # (6,)


def _convolve(x: KerasTensor, count: int, strides: int, name: str) -> KerasTensor:
    x = layers.Conv3D(count, 3, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _row(copy: KerasTensor, code: KerasTensor, scores: KerasTensor) -> KerasTensor:
    flat = layers.Flatten(name="copy_flat")(copy)
    return layers.Concatenate(name="row", dtype="float32")([flat, code, scores])
