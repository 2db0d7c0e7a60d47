"""Draws one plane of a volume as each method shows it, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from node.vocabulary import Pixels

GAP = 4
ENLARGED = 2


def draw_comparison(volumes: Mapping[str, Pixels], file: Path) -> None:
    """Write a PNG with the middle plane across the slices of each volume, in the given order, on one grey scale.

    Slices run upwards. The darkest grey is 0, the brightest the 99.5th percentile of the last volume.
    """
    white = float(np.percentile(list(volumes.values())[-1], 99.5))
    planes = [_plane(volume, white) for volume in volumes.values()]
    gap = np.full((planes[0].shape[0], GAP), 255, np.uint8)
    row = np.hstack([part for plane in planes for part in (plane, gap)][:-1])
    picture = Image.fromarray(row)
    picture.resize((picture.width * ENLARGED, picture.height * ENLARGED)).save(file, optimize=True)


def _plane(volume: Pixels, white: float) -> np.ndarray:
    plane = volume[::-1, :, volume.shape[2] // 2]
    return np.asarray(np.clip(plane / white, 0.0, 1.0) * 255, np.uint8)
