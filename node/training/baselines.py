"""What a method without a network would have found: the bar that a trained model has to clear."""

from __future__ import annotations

import numpy as np
import SimpleITK

from node.imaging.components import largest_components
from node.training.samples import STRUCTURE, Truth
from node.vocabulary import Mask, Pixels


def mean_shape(truths: Truth) -> Pixels:
    """Return how often each pixel is structure, from (pictures, rows, columns, 1) training truths."""
    return np.asarray((truths[..., 0] == STRUCTURE).mean(axis=0), np.float32)


def dark_areas(picture: Pixels, most: int, least_fraction: float) -> Mask:
    """Return the largest dark areas that do not reach the edge of the picture, their holes filled.

    Dark is below the threshold of Otsu (1979). This is how lungs were found before networks.
    """
    image = SimpleITK.GetImageFromArray(picture)
    dark = SimpleITK.OtsuThreshold(image, 1, 0)
    inner = SimpleITK.BinaryGrindPeak(dark, True, 1, 0)
    opened = SimpleITK.BinaryMorphologicalOpening(inner, [2, 2], SimpleITK.sitkBall, 0, 1)
    found = SimpleITK.GetArrayFromImage(SimpleITK.BinaryFillhole(opened)).astype(np.bool_)
    areas = largest_components(found, most, int(least_fraction * found.size))
    return np.asarray(np.any([np.zeros_like(found), *areas], axis=0))
