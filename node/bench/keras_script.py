"""The least that a script does to segment one radiograph with a Keras network: to a SEG and nothing else.

Started as `python -m node.bench.keras_script MODEL_FOLDER WEIGHTS RADIOGRAPH SEG`. It reads the picture and prepares it
as the model says; it asks no gate, checks nothing, and keeps no account of what it has done.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from pydicom import dcmread

from node.bench.documented_seg import segmentation
from node.imaging.radiograph import read_radiograph
from node.inference.loading import load_part


def main(folder: str, weights: str, radiograph: str, target: str) -> None:
    """Read, predict, encode, write."""
    network = load_part(Path(folder), "architecture").build()
    network.load_weights(weights)
    model = load_part(Path(folder), "preprocess")
    source = dcmread(radiograph)
    image = read_radiograph(source)
    regions = model.interpret(network.predict(model.prepare(image), verbose=0), image).regions
    pixels = np.stack([region.mask for region in regions], axis=-1)[np.newaxis].astype(np.uint8)
    labels = [region.output for region in regions]
    segmentation([source], pixels, labels).save_as(target, enforce_file_format=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
