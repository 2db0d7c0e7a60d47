"""What is measured on a mask, as coded numbers for the report."""

from __future__ import annotations

from pydicom.sr.codedict import codes

from node.imaging.image import PixelSpacing
from node.imaging.spacing import area_mm2
from node.vocabulary import Mask, Measurement


def measure_area(mask: Mask, spacing: PixelSpacing) -> Measurement:
    """Return the area of the mask in mm²; its method names the plane the spacing holds in."""
    return Measurement(
        name=codes.SCT.Area,
        value=area_mm2(mask, spacing),
        unit=codes.UCUM.SquareMillimeter,
        method=spacing.plane,
    )
