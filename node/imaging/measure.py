"""What is measured on a mask, as coded numbers for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.imaging.diameter import longest_diameter
from node.imaging.image import PixelSpacing
from node.imaging.spacing import area_mm2
from node.imaging.volume import Unit, Volume, Voxels
from node.vocabulary import Mask, Measurement

EMPHYSEMA_BELOW_HU = -950

# No published scheme has a code for these, so the node's own ones say in words what the number is.
LOW_ATTENUATION_AREA = Code("LAA950", "99RADNODE", "Percentage of voxels below -950 HU (LAA-950)")
SHARE_OF_STRUCTURES = Code("SHARE", "99RADNODE", "Share of all structures outlined")


@dataclass(frozen=True)
class NotMeasured:
    """Why there is no number: a clause for the report, such as "the voxels are not in HU"."""

    reason: str


def measure_area(mask: Mask, spacing: PixelSpacing) -> Measurement:
    """Return the area of the mask in mm²; its method names the plane the spacing holds in."""
    return Measurement(
        name=codes.SCT.Area,
        value=area_mm2(mask, spacing),
        unit=codes.UCUM.SquareMillimeter,
        method=spacing.plane,
    )


def measure_volume(mask: Mask, volume: Volume) -> Measurement:
    """Return the volume of the mask in cm³, without padding."""
    return Measurement(
        name=codes.SCT.Volume,
        value=int(np.count_nonzero(mask & ~volume.padding)) * volume.grid.voxel_mm3 / 1000,
        unit=codes.UCUM.CubicCentimeter,
        method="number of voxels times their volume",
    )


def measure_mean_attenuation(mask: Mask, volume: Volume) -> Measurement | NotMeasured:
    """Return the mean of the mask in HU, without padding."""
    inside = _attenuation(mask, volume)
    if isinstance(inside, NotMeasured):
        return inside
    return Measurement(
        name=codes.DCM.AttenuationCoefficient,
        value=float(inside.mean(dtype=np.float64)),
        unit=codes.UCUM.HounsfieldUnit,
        method="mean of all voxels",
        derivation=codes.SCT.Mean,
    )


def measure_emphysema_index(mask: Mask, volume: Volume) -> Measurement | NotMeasured:
    """Return LAA-950: how many of the mask's voxels, in percent, lie below -950 HU, without padding.

    It depends on slice thickness, kernel and dose, so the method names the distance between slices.
    """
    inside = _attenuation(mask, volume)
    if isinstance(inside, NotMeasured):
        return inside
    low = int(np.count_nonzero(inside < EMPHYSEMA_BELOW_HU))
    return Measurement(
        name=LOW_ATTENUATION_AREA,
        value=100 * low / inside.size,
        unit=codes.UCUM.Percent,
        method=f"share of voxels below {EMPHYSEMA_BELOW_HU} HU, slices {volume.grid.spacing_mm[0]:.3g} mm apart",
    )


def measure_score(score: float | None) -> Measurement | NotMeasured:
    """Return how sure the model is that there is such a structure, as a probability in 0..1."""
    if score is None:
        return NotMeasured("the model gave none")
    return Measurement(name=codes.DCM.Probability, value=score, unit=codes.UCUM.NoUnits, method="stated by the model")


def measure_share(mask: Mask, masks: Sequence[Mask]) -> Measurement:
    """Return how much of all masks together, in percent, this one is; a voxel of two masks counts twice."""
    return Measurement(
        name=SHARE_OF_STRUCTURES,
        value=100 * int(np.count_nonzero(mask)) / sum(int(np.count_nonzero(other)) for other in masks),
        unit=codes.UCUM.Percent,
        method="share of all structures outlined",
    )


def measure_diameter(mask: Mask, volume: Volume) -> Measurement | NotMeasured:
    """Return the longest diameter of the mask within one slice, in mm (CID 7470 Long Axis)."""
    if not mask.any():
        return NotMeasured("nothing is outlined")
    diameter = longest_diameter(mask, volume.grid.spacing_mm)
    return Measurement(
        name=codes.SCT.LongAxis,
        value=diameter.length_mm,
        unit=codes.UCUM.Millimeter,
        method="longest line within one slice",
    )


def _attenuation(mask: Mask, volume: Volume) -> Voxels | NotMeasured:
    if volume.unit is not Unit.HOUNSFIELD:
        return NotMeasured("the voxels are not in HU")
    inside: Voxels = volume.voxels[mask & ~volume.padding]
    return inside if inside.size else NotMeasured("the scanner saw nothing inside the outline")
