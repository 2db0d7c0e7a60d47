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
from keras import layers

from node.networks.unet import UNetPlan, unet

SIZE = 256
PLAN = UNetPlan(filters=(16, 32, 64, 128), bottom=256, dropout=0.2)
TUTORIAL_PLAN = UNetPlan(filters=(32, 64, 128, 256), bottom=512)


def build() -> keras.Model:
    """Return the untrained network: (256, 256, 1) in -1..1 to (256, 256, 1), a probability."""
    return build_for(PLAN)


def build_tutorial() -> keras.Model:
    """Return the untrained network of the tutorial, with the same input and output and four times the parameters."""
    return build_for(TUTORIAL_PLAN)


def build_for(plan: UNetPlan) -> keras.Model:
    """Return the untrained network of a plan."""
    picture = keras.Input((SIZE, SIZE, 1), name="picture")
    lung = layers.Conv2D(1, 1, activation="sigmoid", dtype="float32", name="lung")(unet(picture, plan))  # (256, 256, 1)
    return keras.Model(picture, lung, name="chest_dx_lungs")


VARIANTS: Mapping[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
