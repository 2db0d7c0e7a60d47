"""Draws what the report shows of one head: the scan, what the network found and the labels, in three planes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from node.imaging.upright import turn_upright
from node.imaging.volume import Volume
from node.training.pictures import Panel, draw_panels, stretch_grey, tint
from node.vocabulary import Pixels

from .truth import Truth

COLOURS = {1: (60, 130, 255), 2: (120, 200, 90), 3: (255, 160, 60)}
PLANES = ("axial", "coronal", "sagittal")


def draw_head(volume: Volume, found: Truth, labels: Truth, file: Path) -> Path:
    """Write a PNG with a row for each plane through the middle of the brain: CSF blue, grey green, white orange."""
    turn = turn_upright(volume.grid)
    grey = turn.apply(stretch_grey(volume.voxels.astype(np.float32)))
    marked, true = turn.apply(found), turn.apply(labels)
    middle = np.argwhere(true > 0).mean(axis=0).astype(int)
    rows = []
    for axis, plane in enumerate(PLANES):
        picture, *both = (_cut(array, axis, int(middle[axis])) for array in (grey, marked, true))
        tinted = (tint(picture, {colour: one == number for number, colour in COLOURS.items()}) for one in both)
        captions = (f"{plane}: network", "labels")
        rows.append([Panel(picture, "scan"), *(Panel(one, text) for one, text in zip(tinted, captions, strict=True))])
    return draw_panels(rows, file)


def _cut(voxels: Pixels | Truth, axis: int, place: int) -> Pixels:
    """Return one plane as it is displayed: the head upwards where slices run across, the front upwards else."""
    plane = np.take(voxels, place, axis)
    return np.asarray(plane if axis == 0 else plane[::-1])
