"""How far apart the surfaces of two masks lie in the patient: the distances of Hausdorff."""

from __future__ import annotations

import math

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.vocabulary import Mask


def hausdorff_mm(truth: Mask, found: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Return the largest distance from the surface of one mask to the other's, in mm.

    `spacing_mm` is in the order of the axes of the masks. Two empty masks are 0 apart, one empty
    mask infinitely far.
    """
    return _distance(truth, found, spacing_mm, 100.0)


def hausdorff_95_mm(truth: Mask, found: Mask, spacing_mm: tuple[float, ...]) -> float:
    """Return the distance in mm that 95 % of the surface of either mask stay within.

    Of both directions, from truth to found and back, the larger 95th percentile counts. Empty masks are
    as for `hausdorff_mm`.
    """
    return _distance(truth, found, spacing_mm, 95.0)


def _distance(truth: Mask, found: Mask, spacing_mm: tuple[float, ...], percentile: float) -> float:
    if not truth.any() or not found.any():
        return 0.0 if truth.any() == found.any() else math.inf
    box = _box(truth | found)
    one, other = (_image(mask[box], spacing_mm) for mask in (truth, found))
    there, back = _distances(one, other), _distances(other, one)
    return float(max(np.percentile(there, percentile), np.percentile(back, percentile)))


def _distances(one: SimpleITK.Image, other: SimpleITK.Image) -> NDArray[np.float32]:
    """Return the distance from each surface voxel of one mask to the nearest surface voxel of the other."""
    surface = SimpleITK.LabelContour(other, fullyConnected=True)
    to_surface = SimpleITK.SignedMaurerDistanceMap(
        surface, insideIsPositive=False, squaredDistance=False, useImageSpacing=True
    )
    own = SimpleITK.GetArrayFromImage(SimpleITK.LabelContour(one, fullyConnected=True)) > 0
    # Inside the surface, which is one voxel thick, the map is zero or below.
    return np.asarray(np.maximum(SimpleITK.GetArrayFromImage(to_surface)[own], 0.0))


def _image(mask: Mask, spacing_mm: tuple[float, ...]) -> SimpleITK.Image:
    """Return the mask with a margin, because a contour is drawn only where something lies outside it."""
    image = SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
    image.SetSpacing(tuple(reversed(spacing_mm)))
    return image


def _box(mask: Mask) -> tuple[slice, ...]:
    """Return the smallest box that holds the mask."""
    spans = []
    for axis in range(mask.ndim):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(mask.ndim) if other != axis)))
        spans.append(slice(int(inside[0]), int(inside[-1]) + 1))
    return tuple(spans)
