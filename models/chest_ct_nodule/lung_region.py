"""Finds where in the chest nodules are looked for: the lungs, by threshold, with what is sunk into their edge."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.volume import Grid, Volume
from node.vocabulary import Mask

from .working_grid import COARSE_MM, coarse_grid, on_grid

LUNG_HU = -450.0
# Bowel gas and the air around the patient are darker on average, because no vessels run through them.
LUNG_MEAN_HU = (-955.0, -500.0)
LEAST_LUNGS_CM3 = 200.0
LEAST_PART = 0.05  # of the largest
CLOSING_MM = 12.0
EDGE_MM = 3.0


def lung_region(volume: Volume) -> tuple[Mask, Grid]:
    """Return where to look for nodules as a mask on a 3 mm grid along the patient's axes, and that grid.

    Raises StudyRefused where less than 200 cm³ looks like lung.
    """
    grid = coarse_grid(volume.grid)
    hu = on_grid(volume, grid)
    lungs = find_lungs(hu)
    found_cm3 = lungs.sum() * grid.voxel_mm3 / 1000.0
    if found_cm3 < LEAST_LUNGS_CM3:
        raise StudyRefused(
            f"what looks like lung measures {found_cm3:.0f} cm³; expected at least {LEAST_LUNGS_CM3:.0f} cm³; "
            "send a CT series that shows the lungs"
        )
    return widen(lungs), grid


def find_lungs(hu: NDArray[np.float32]) -> Mask:
    """Return the aerated lungs in HU on the coarse grid: dark, inside the body, and not as dark as air."""
    labels = SimpleITK.ConnectedComponent(_image(_inside_body(hu < LUNG_HU)))
    ranked = SimpleITK.GetArrayFromImage(SimpleITK.RelabelComponent(labels, 20))
    sizes = np.bincount(ranked.ravel())
    sizes[0] = 0
    sums = np.bincount(ranked.ravel(), weights=hu.ravel())
    low, high = LUNG_MEAN_HU
    means = sums / np.maximum(sizes, 1)
    fits = (sizes > 0) & (means > low) & (means < high)
    fits &= sizes >= LEAST_PART * sizes[fits].max(initial=1)
    return np.asarray(fits[ranked])


def widen(lungs: Mask) -> Mask:
    """Return the lungs with their edge, with dents up to twice 12 mm wide, and with what they enclose in a slice."""
    radius = [round(CLOSING_MM / COARSE_MM)] * 3
    closed = SimpleITK.BinaryMorphologicalClosing(_image(lungs), radius, SimpleITK.sitkBall)
    edge = [round(EDGE_MM / COARSE_MM)] * 3
    grown = SimpleITK.GetArrayFromImage(SimpleITK.BinaryDilate(closed, edge, SimpleITK.sitkCross))
    return np.stack([SimpleITK.GetArrayFromImage(SimpleITK.BinaryFillhole(_image(plane))) for plane in grown]) > 0


def _inside_body(dark: Mask) -> Mask:
    """Return the dark areas of each axial slice that do not reach its edge."""
    kept = np.zeros_like(dark)
    for number, plane in enumerate(dark):
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(_image(plane)))
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        kept[number] = plane & ~np.isin(labels, edge)
    return kept


def _image(mask: Mask | NDArray[np.uint8]) -> SimpleITK.Image:
    return SimpleITK.GetImageFromArray(mask.astype(np.uint8))
