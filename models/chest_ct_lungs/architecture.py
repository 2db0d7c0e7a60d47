"""The network: a U-Net that maps a slice of a chest CT to the probability that a pixel shows lung.

Ronneberger O, Fischer P, Brox T: U-Net: Convolutional Networks for Biomedical Image Segmentation.
MICCAI 2015, LNCS 9351, 234-241, figure 1. It differs from the figure in four ways: it sees the
slices above and below too, which tell bowel from lung; a fifth of the filters, so that a CPU
answers for a whole series in seconds; zero-padded convolutions, so that output and input have the
same size; and batch normalisation.
"""

from __future__ import annotations

import keras
from keras import layers

from node.networks.unet import UNetPlan, unet

ROWS, COLUMNS = 160, 224
SLICES = 3
PLAN = UNetPlan(filters=(12, 24, 48, 96), bottom=128, dropout=0.1)


def build() -> keras.Model:
    """Return the untrained network: (160, 224, 3) in -1..1 to (160, 224, 1), a probability."""
    slices = keras.Input((ROWS, COLUMNS, SLICES), name="slices")
    lung = layers.Conv2D(1, 1, activation="sigmoid", name="lung")(unet(slices, PLAN))  # (160, 224, 1)
    return keras.Model(slices, lung, name="chest_ct_lungs")
