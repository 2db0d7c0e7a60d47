"""Finds lungs without a network, by threshold and morphology: the bar that the network has to clear."""

from __future__ import annotations

import numpy as np
import SimpleITK

from node.imaging.regrid import Sampling, resample_values
from node.imaging.volume import Grid, Volume
from node.vocabulary import Mask

from .averaging import average_blocks

LUNG_HU = -400.0
AIRWAY_HU = -900.0
# Windpipe and gullet in a slice near the top; a lung is larger, and the air around the patient too.
AIRWAY_MM2 = (30.0, 700.0)
LEAST_LUNG_CM3 = 50.0
LEAST_LUNG_CM2 = 10.0  # where a series is too short for that volume
CLOSING_MM = 8.0
WORKING_MM = 1.5


def classical_lungs(volume: Volume) -> Mask:
    """Return the two largest dark areas inside the body, less the windpipe, closed and with holes filled.

    This is how lungs were found before networks; dense disease at the edge of a lung is lost.
    """
    factors = [max(1, int(WORKING_MM / spacing)) for spacing in volume.grid.spacing_mm]
    means, grid = average_blocks(volume.voxels, volume.grid, (factors[0], factors[1], factors[2]))
    dark = _inside_body(means < LUNG_HU)
    dark &= ~_airways(dark & (means < AIRWAY_HU), grid.spacing_mm)
    lungs = _close(_two_largest(dark, _least_voxels(grid)), grid.spacing_mm)
    share = resample_values(lungs.astype(np.float32), grid, volume.grid, Sampling())
    return np.asarray((share > 0.5) & ~volume.padding)


def _least_voxels(grid: Grid) -> float:
    """Return the size of the smallest area that may be a lung in a series of this length."""
    length_mm = grid.shape[0] * grid.spacing_mm[0]
    return min(LEAST_LUNG_CM3 * 1000.0, LEAST_LUNG_CM2 * 100.0 * length_mm) / grid.voxel_mm3


def _inside_body(dark: Mask) -> Mask:
    """Return the dark areas of each slice that do not reach its edge."""
    kept = np.zeros_like(dark)
    for number, plane in enumerate(dark):
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(_image(plane)))
        edge = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
        kept[number] = plane & ~np.isin(labels, edge)
    return kept


def _airways(air: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Return the windpipe, followed downwards through slices as long as it stays the size of one."""
    followed = np.zeros_like(air)
    above = np.zeros(air.shape[1:], np.bool_)
    for number in reversed(range(len(air))):
        labels = SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(_image(air[number])))
        areas_mm2 = np.bincount(labels.ravel()) * spacing_mm[1] * spacing_mm[2]
        areas_mm2[0] = 0.0
        fits = (areas_mm2 > AIRWAY_MM2[0]) & (areas_mm2 < AIRWAY_MM2[1])
        if above.any():
            fits &= np.bincount(labels[above], minlength=len(areas_mm2)) > 0
        else:
            fits &= areas_mm2 == areas_mm2[fits].max(initial=-1.0)
        followed[number] = fits[labels]
        above = followed[number] if fits.any() else above
    grown = SimpleITK.BinaryDilate(_image(followed), [1, 1, 1])
    return np.asarray(SimpleITK.GetArrayFromImage(grown) > 0)


def _two_largest(mask: Mask, least_voxels: float) -> Mask:
    labels = SimpleITK.ConnectedComponent(_image(mask))
    ranked = SimpleITK.GetArrayFromImage(SimpleITK.RelabelComponent(labels, max(1, int(least_voxels))))
    return np.asarray((ranked == 1) | (ranked == 2))


def _close(mask: Mask, spacing_mm: tuple[float, float, float]) -> Mask:
    """Close gaps that vessels leave, and fill what is enclosed in a slice."""
    radius = [max(1, round(CLOSING_MM / spacing)) for spacing in reversed(spacing_mm)]
    closed = SimpleITK.GetArrayFromImage(SimpleITK.BinaryMorphologicalClosing(_image(mask), radius))
    filled = [SimpleITK.GetArrayFromImage(SimpleITK.BinaryFillhole(_image(plane))) for plane in closed]
    return np.stack(filled) > 0


def _image(mask: Mask) -> SimpleITK.Image:
    return SimpleITK.GetImageFromArray(mask.astype(np.uint8))
