"""A model folder as a site would add its own: it outlines what is bright in an MR series."""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path

from node.inference.loading import load_part

NAME = "any_mr_bright"

CARD = """
schema = 1
name = "any_mr_bright"
title = "Bright tissue"
version = "1.0.0"
task = "segmentation"
status = "experimental"

[weights]
file = "weights.weights.h5"
sha256 = "{sha256}"

[input.series]
level = "series"
modality = ["MR"]

[output.bright]
label = "Bright tissue"
category = "Tissue"
type = "Tissue"
colour = [240, 200, 60]
measure = ["volume", "mean_hu"]

[scores]
"""

ARCHITECTURE = '''
"""A network that leaves a slice as it is."""

import keras


def build():
    """Return (64, 64, 1) -> (64, 64, 1)."""
    picture = keras.Input((64, 64, 1))
    scale = keras.layers.Conv2D(1, 1, use_bias=False, kernel_initializer="ones", name="scale")
    return keras.Model(picture, scale(picture))
'''

PREPROCESS = '''
"""Slices on the grid of the network, and what is bright in them."""

import numpy as np

from node.imaging.resample import letterbox, undo_letterbox
from node.vocabulary import Interpretation, Region


def prepare(volume):
    """Return (slices, 64, 64, 1) in 0..1."""
    bright = np.percentile(volume.voxels, 99.5)
    return np.stack([letterbox(np.clip(s / bright, 0, 1).astype(np.float32), 64) for s in volume.voxels])[..., None]


def interpret(prediction, volume):
    """Outline what is above half of the brightest."""
    mask = np.stack([undo_letterbox(s, volume.voxels.shape[1:]) > 0.5 for s in prediction[..., 0]])
    return Interpretation((Region("bright", mask),) if mask.any() else ())
'''


def write_site_model(folder: Path) -> Path:
    """Write the model folder below `folder` and return it."""
    model = folder / NAME
    model.mkdir(parents=True)
    (model / "architecture.py").write_text(textwrap.dedent(ARCHITECTURE))
    (model / "preprocess.py").write_text(textwrap.dedent(PREPROCESS))
    weights = model / "weights.weights.h5"
    load_part(model, "architecture").build().save_weights(weights)
    (model / "model.toml").write_text(CARD.format(sha256=hashlib.sha256(weights.read_bytes()).hexdigest()))
    return model
