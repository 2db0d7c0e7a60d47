"""The network: a 3D U-Net that maps a block of a T1 head to the probability of CSF, grey and white matter.

Çiçek Ö, Abdulkadir A, Lienkamp SS, Brox T, Ronneberger O: 3D U-Net: Learning Dense Volumetric Segmentation from
Sparse Annotation. MICCAI 2016, LNCS 9901, 424-432, figure 2, with half of the filters and zero-padded convolutions.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
from keras import KerasTensor, layers

from node.networks.residual import ResidualPlan, residual_unet
from node.networks.unet import UNetPlan, unet

SIZE = 64
CLASSES = 4  # background, CSF, grey matter, white matter
PLAN = UNetPlan(filters=(16, 32, 64), bottom=128)
# DLTK 0.2.1, examples/applications/MRBrainS13_tissue_segmentation/train.py: three scales of 16, 32, 64 and 128 filters.
TUTORIAL = ResidualPlan(filters=(16, 32, 64, 128), steps=(1, 2, 2, 2), units=2)


def build() -> keras.Model:
    """Return the untrained network: (64, 64, 64, 1) voxels of 2 mm to (64, 64, 64, 4), probabilities."""
    block = keras.Input((SIZE, SIZE, SIZE, 1), name="block")
    return keras.Model(block, tissue(unet(block, PLAN)), name="brain_mr_tissue")


def build_tutorial() -> keras.Model:
    """Return the tutorial's network in place of it: DLTK's residual 3D U-Net with two units per scale."""
    block = keras.Input((SIZE, SIZE, SIZE, 1), name="block")
    return keras.Model(block, tissue(residual_unet(block, TUTORIAL)), name="brain_mr_tissue_tutorial")


def tissue(features: KerasTensor) -> KerasTensor:
    """Return the probability of each class; float32 whatever the layers before compute in."""
    scores = layers.Conv3D(CLASSES, 1, dtype="float32", name="scores")(features)
    return layers.Softmax(dtype="float32", name="tissue")(scores)


VARIANTS: dict[str, Callable[[], keras.Model]] = {"tutorial": build_tutorial}
