"""A script that loads a Keras network and asks it once, and imports nothing else.

Started as `python -m node.bench.keras_start MODEL_FOLDER WEIGHTS SIDE...`; the sides are those of an input.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from node.inference.loading import load_part


def main(folder: str, weights: str, *sides: str) -> None:
    """Load and predict."""
    network = load_part(Path(folder), "architecture").build()
    network.load_weights(weights)
    network.predict(np.zeros((1, *map(int, sides)), np.float32), verbose=0)


if __name__ == "__main__":
    main(*sys.argv[1:])
