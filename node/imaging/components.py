"""Separates a mask into its connected areas."""

from __future__ import annotations

import numpy as np
import SimpleITK

from node.vocabulary import Mask


def largest_components(mask: Mask, most: int, least_pixels: int) -> list[Mask]:
    """Return up to `most` connected areas of at least `least_pixels`, the largest first.

    Pixels that touch only at a corner are connected. The masks lie on the grid of `mask`.
    """
    labels = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(mask.astype(np.uint8)), True)
    ranked = SimpleITK.GetArrayFromImage(SimpleITK.RelabelComponent(labels, max(1, least_pixels)))
    found = min(int(ranked.max(initial=0)), most)
    return [ranked == rank for rank in range(1, found + 1)]
