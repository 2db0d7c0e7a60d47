"""What can be said of tissues without a network: where they usually lie, and how bright they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK

from node.imaging.head import head_box
from node.imaging.upright import back_to_series, resample_upright
from node.imaging.volume import Volume
from node.vocabulary import Pixels

from .preprocess import STEP_MM
from .subjects import LabelledHead
from .truth import CLASSES, Truth

USUAL_SHAPE = (96, 112, 88)
ROUNDS = 50


def usual_head(heads: Sequence[LabelledHead]) -> Pixels:
    """Return how often each class lies at each place of the box round a head, (*USUAL_SHAPE, 4)."""
    total = np.zeros((*USUAL_SHAPE, len(CLASSES)), np.float32)
    for head in heads:
        part = head.truth[head.box]
        for number, one in enumerate(CLASSES):
            total[..., number] += _resize((part == one).astype(np.float32), USUAL_SHAPE)
    return np.asarray(total / len(heads), np.float32)


def find_by_place(volume: Volume, usual: Pixels) -> Truth:
    """Return the class most usual at each voxel, the usual head being stretched to the box round this one."""
    image = resample_upright(volume, STEP_MM)
    box = head_box(image)
    shape = tuple(part.stop - part.start for part in box)
    probability = np.zeros((*image.grid.shape, len(CLASSES)), np.float32)
    probability[..., 0] = 1.0
    probability[box] = np.stack([_resize(usual[..., number], shape) for number in range(len(CLASSES))], axis=-1)
    return back_to_series(probability, image.grid, volume.grid)


def find_by_brightness(volume: Volume, labels: Truth) -> Truth:
    """Return three clusters of grey, from dark to bright CSF, grey and white matter, inside the true brain.

    Knowing the brain is more than any method has that must find it. k-means after Lloyd (1982).
    """
    brain = labels > 0
    values = volume.voxels[brain].astype(np.float32)
    centres = np.percentile(values, (5, 40, 80))
    nearest = np.zeros(values.shape, np.intp)
    for _ in range(ROUNDS):
        nearest = np.searchsorted((centres[:-1] + centres[1:]) / 2, values)
        centres = np.array([values[nearest == number].mean() for number in range(3)])
    found = np.zeros(labels.shape, np.uint8)
    found[brain] = 1 + nearest
    return found


def _resize(values: Pixels, shape: tuple[int, ...]) -> Pixels:
    """Interpolate linearly to another number of voxels over the same box."""
    image = SimpleITK.GetImageFromArray(values)
    spacing = [old / new for old, new in zip(values.shape[::-1], shape[::-1], strict=True)]
    first = [(step - 1) / 2 for step in spacing]
    resampled = SimpleITK.Resample(
        image, list(shape[::-1]), SimpleITK.Transform(), SimpleITK.sitkLinear, first, spacing, image.GetDirection(), 0.0
    )
    return np.asarray(SimpleITK.GetArrayFromImage(resampled), np.float32)
