"""Blurs voxels along one axis, as a slice profile does, or before a grid is made coarser."""

from __future__ import annotations

import numpy as np
import SimpleITK

from node.vocabulary import Pixels

NARROWEST = 1 / 3


def blur_along(voxels: Pixels, axis: int, sigma_voxels: float) -> Pixels:
    """Return the voxels blurred along one axis by a Gaussian; one narrower than a third of a voxel changes nothing."""
    if sigma_voxels < NARROWEST:
        return voxels
    image = SimpleITK.GetImageFromArray(voxels)
    blurred = SimpleITK.RecursiveGaussian(image, sigma_voxels, direction=voxels.ndim - 1 - axis)
    return np.asarray(SimpleITK.GetArrayFromImage(blurred), np.float32)
