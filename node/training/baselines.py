"""What a method without a network would have found: the bar that a trained model has to clear."""

from __future__ import annotations

import numpy as np
import SimpleITK

from node.imaging.components import largest_components
from node.training.samples import STRUCTURE, Truth
from node.vocabulary import Mask, Pixels

# Radii in pixels of a 256 x 256 picture, the best of several on the training pictures.
OPENING = [2, 2]
CLOSING = [10, 10]


def mean_shape(truths: Truth) -> Pixels:
    """Return how often each pixel is structure, from (pictures, rows, columns, 1) training truths."""
    return np.asarray((truths[..., 0] == STRUCTURE).mean(axis=0), np.float32)


def dark_areas(picture: Pixels, where: Mask, least_fraction: float) -> Mask:
    """Return the two largest dark areas inside `where`, smoothed and with their holes filled.

    Dark is below the threshold of Otsu (1979) for the pixels of `where`. This is how lungs were
    found before networks. Areas below `least_fraction` of the picture are left out.
    """
    dark = (picture <= _otsu_threshold(picture[where])) & where
    opened = SimpleITK.BinaryMorphologicalOpening(SimpleITK.GetImageFromArray(dark.astype(np.uint8)), OPENING)
    closed = SimpleITK.BinaryMorphologicalClosing(opened, CLOSING)
    found = SimpleITK.GetArrayFromImage(SimpleITK.BinaryFillhole(closed)).astype(np.bool_)
    areas = largest_components(found, 2, int(least_fraction * found.size))
    return np.asarray(np.any([np.zeros_like(found), *areas], axis=0))


def _otsu_threshold(values: Pixels) -> float:
    chooser = SimpleITK.OtsuThresholdImageFilter()
    chooser.Execute(SimpleITK.GetImageFromArray(values.reshape(1, -1)))
    return float(chooser.GetThreshold())
