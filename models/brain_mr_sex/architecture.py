"""The network: one linear layer over a head laid on the mean head, the same on both sides of it.

A single layer with a strong penalty is about as much as a hundred heads can train. The variant
"tutorial" is DLTK's 3D ResNet, which learns its features itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
from keras import KerasTensor, layers, ops

from node.networks.residual import ResidualPlan, residual_encoder

SHAPE = (42, 52, 42, 1)  # slices, rows and columns of 4 mm, and one channel
# DLTK 0.2.1, examples/applications/IXI_HH_sex_classification_resnet/train.py
TUTORIAL = ResidualPlan(filters=(16, 32, 64, 128, 256), steps=(1, 2, 2, 2, 2), units=2)
TUTORIAL_MARGIN = (5, 2, 5)  # voxels left out at each side, so that the grid can be halved four times


def build() -> keras.Model:
    """Return the untrained network: (42, 52, 42, 1) to the probabilities of female and male."""
    head = keras.Input(SHAPE, name="head")
    both = (head + ops.flip(head, axis=3)) / 2.0                             # (42, 52, 42, 1)
    side = both[:, :, :, : SHAPE[2] // 2]                                    # (42, 52, 21, 1)
    score = layers.Dense(1, name="score")(layers.Flatten(name="flat")(side))  # (1)
    return keras.Model(head, probabilities(score), name="brain_mr_sex")


def build_tutorial() -> keras.Model:
    """Return the tutorial's network in place of it, with the same input and output."""
    head = keras.Input(SHAPE, name="head")
    inner = layers.Cropping3D(TUTORIAL_MARGIN, name="inner")(head)           # (32, 48, 32, 1)
    features = residual_encoder(inner, TUTORIAL)                             # (256)
    score = layers.Dense(1, dtype="float32", name="score")(features)         # (1)
    return keras.Model(head, probabilities(score), name="brain_mr_sex_tutorial")


def probabilities(score: KerasTensor) -> KerasTensor:
    """Return the probabilities of female and male, whose log odds are the score."""
    return ops.concatenate([ops.sigmoid(-score), ops.sigmoid(score)], axis=-1)


VARIANTS: Mapping[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
