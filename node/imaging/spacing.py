"""The distance between pixels, taken only where the header says in which plane it holds."""

from __future__ import annotations

import math

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset

from node.errors import SpacingRefused
from node.imaging.attributes import NumberReader
from node.imaging.image import PixelSpacing
from node.vocabulary import Mask

AT_THE_DETECTOR = "at the detector, not corrected for magnification"

# What a PixelSpacing means under each PixelSpacingCalibrationType (PS3.3 10.7.1.3).
CALIBRATED = {
    "GEOMETRY": "calibrated by GEOMETRY: corrected for an assumed magnification",
    "FIDUCIAL": "calibrated by FIDUCIAL: measured on an object of known size",
}

EQUAL_WITHIN = 1e-4  # relative: the same number written with other decimals

DETECTOR_CLASSES = frozenset(
    {
        uid.DigitalXRayImageStorageForPresentation,
        uid.ComputedRadiographyImageStorage,
    }
)


def pixel_spacing(dataset: Dataset) -> PixelSpacing:
    """Return the spacing of a projection image and the plane it holds in (PS3.3 10.7.1.3).

    Raises SpacingRefused, saying which attribute stands in the way, when the plane is not known.
    """
    in_patient = _pair(dataset, "PixelSpacing")
    at_detector = _pair(dataset, "ImagerPixelSpacing")
    calibration = str(dataset.get("PixelSpacingCalibrationType") or "")
    if in_patient and calibration:
        return PixelSpacing(*in_patient, plane=_calibrated_plane(calibration))
    if at_detector:
        return _detector_spacing(dataset, at_detector, in_patient)
    raise SpacingRefused(_why_unknown(dataset, in_patient))


def area_mm2(mask: Mask, spacing: PixelSpacing) -> float:
    """Return the area of the mask's True pixels in mm², in the plane the spacing holds in."""
    return int(np.count_nonzero(mask)) * spacing.row_mm * spacing.column_mm


def _pair(dataset: Dataset, keyword: str) -> tuple[float, float] | None:
    """Return (between rows, between columns) in mm, or None if the attribute is absent or empty."""
    values = NumberReader(dataset, SpacingRefused).all(keyword)
    if not values:
        return None
    if len(values) != 2 or min(values) <= 0:
        raise SpacingRefused(
            f"{keyword}: found {list(values)}, expected two distances above 0 mm; "
            "correct it at the modality and send again"
        )
    return values[0], values[1]


def _calibrated_plane(calibration: str) -> str:
    if calibration not in CALIBRATED:
        raise SpacingRefused(
            f"PixelSpacingCalibrationType: found {calibration!r}, expected {' or '.join(CALIBRATED)}; "
            "correct it where the image was calibrated and send again"
        )
    return CALIBRATED[calibration]


def _detector_spacing(
    dataset: Dataset, at_detector: tuple[float, float], in_patient: tuple[float, float] | None
) -> PixelSpacing:
    if uid.UID(dataset.SOPClassUID) not in DETECTOR_CLASSES:
        raise SpacingRefused(
            f"ImagerPixelSpacing: found in a {uid.UID(dataset.SOPClassUID).name}, whose picture may have been "
            "resized since it left the detector; send the original DX or CR instance"
        )
    if in_patient and not _equal(in_patient, at_detector):
        raise SpacingRefused(
            f"PixelSpacing: found {list(in_patient)} beside ImagerPixelSpacing {list(at_detector)} without "
            "PixelSpacingCalibrationType, so how it was corrected is unknown; set PixelSpacingCalibrationType to "
            "GEOMETRY or FIDUCIAL where the image was calibrated"
        )
    return PixelSpacing(*at_detector, plane=AT_THE_DETECTOR)


def _equal(first: tuple[float, float], second: tuple[float, float]) -> bool:
    return all(
        math.isclose(one, other, rel_tol=EQUAL_WITHIN) for one, other in zip(first, second, strict=True)
    )


def _why_unknown(dataset: Dataset, in_patient: tuple[float, float] | None) -> str:
    if in_patient:
        return (
            f"PixelSpacing: found {list(in_patient)} without ImagerPixelSpacing or "
            "PixelSpacingCalibrationType, so in which plane it holds is unknown; have the modality send "
            "ImagerPixelSpacing"
        )
    if dataset.get("NominalScannedPixelSpacing"):
        return (
            "NominalScannedPixelSpacing: found a film digitiser's spacing, expected ImagerPixelSpacing or a "
            "calibrated PixelSpacing; areas of a scanned film cannot be given in mm²"
        )
    return (
        "ImagerPixelSpacing: found neither it nor PixelSpacing, expected one of them; have the modality send "
        "ImagerPixelSpacing"
    )
