"""Each rule that decides in which plane a spacing holds, and each refusal by name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pydicom
import pytest
from builders import CR, DX, SC, chest_dx, shaded_picture
from pydicom.sr.codedict import codes

from node.errors import SpacingRefused
from node.imaging.image import PixelSpacing
from node.imaging.measure import measure_area
from node.imaging.spacing import AT_THE_DETECTOR, area_mm2, pixel_spacing


def spacing_of(**facts: Any) -> PixelSpacing:
    return pixel_spacing(chest_dx(shaded_picture(), **{"spacing": None, **facts}))


@contextmanager
def malformed_values_allowed() -> Iterator[None]:
    settings = pydicom.config.settings
    before = settings.writing_validation_mode
    settings.writing_validation_mode = pydicom.config.IGNORE
    try:
        yield
    finally:
        settings.writing_validation_mode = before


@pytest.mark.parametrize("sop_class", [DX, CR])
def test_imager_pixel_spacing_alone_holds_at_the_detector(sop_class: str) -> None:
    spacing = spacing_of(sop_class=sop_class, spacing=(0.2, 0.15))
    assert spacing == PixelSpacing(0.2, 0.15, AT_THE_DETECTOR)


def test_pixel_spacing_equal_to_imager_pixel_spacing_holds_at_the_detector() -> None:
    spacing = spacing_of(spacing=(0.2, 0.15), PixelSpacing=[0.2000001, 0.15])
    assert spacing.plane == AT_THE_DETECTOR


@pytest.mark.parametrize("calibration", ["GEOMETRY", "FIDUCIAL"])
@pytest.mark.parametrize("sop_class", [DX, CR, SC])
def test_a_calibrated_pixel_spacing_is_taken_with_its_calibration(calibration: str, sop_class: str) -> None:
    spacing = spacing_of(
        sop_class=sop_class,
        spacing=(0.2, 0.2) if sop_class == DX else None,
        PixelSpacing=[0.17, 0.18],
        PixelSpacingCalibrationType=calibration,
    )
    assert (spacing.row_mm, spacing.column_mm) == (0.17, 0.18)
    assert calibration in spacing.plane


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("PixelSpacing", {"PixelSpacing": [0.2, 0.2], "sop_class": CR}),
    ("PixelSpacing", {"PixelSpacing": [0.2, 0.2], "sop_class": SC}),
    ("PixelSpacing", {"PixelSpacing": [0.17, 0.17], "spacing": (0.2, 0.2)}),
    ("PixelSpacing", {"PixelSpacing": [0.17]}),
    ("PixelSpacing", {"PixelSpacing": [0.17, 0.17, 0.17]}),
    ("ImagerPixelSpacing", {}),
    ("ImagerPixelSpacing", {"spacing": (0.2, 0.2), "sop_class": SC}),
    ("ImagerPixelSpacing", {"spacing": (0.0, 0.2)}),
    ("ImagerPixelSpacing", {"spacing": (0.2, -0.2)}),
    ("ImagerPixelSpacing", {"ImagerPixelSpacing": 0.2}),
    ("NominalScannedPixelSpacing", {"NominalScannedPixelSpacing": [0.1, 0.1], "sop_class": SC}),
    ("PixelSpacingCalibrationType", {"PixelSpacing": [0.2, 0.2], "PixelSpacingCalibrationType": "GUESS"}),
]


@pytest.mark.parametrize(("attribute", "facts"), REFUSED)
def test_a_spacing_in_an_unknown_plane_is_refused_by_name(attribute: str, facts: dict[str, Any]) -> None:
    with pytest.raises(SpacingRefused, match=rf"^{attribute}: found .*(;|expected)"):
        spacing_of(**facts)


@pytest.mark.parametrize("written", ["NaN", "inf", "wide"])
def test_a_spacing_that_is_no_finite_number_is_refused(written: str) -> None:
    with malformed_values_allowed():
        dataset = chest_dx(shaded_picture(), spacing=None)
        dataset["ImagerPixelSpacing"] = pydicom.dataelem.RawDataElement(
            pydicom.tag.Tag("ImagerPixelSpacing"), "DS", 8, f"{written}\\0.2".encode(), 0, False, True
        )
        with pytest.raises(SpacingRefused, match="ImagerPixelSpacing: found"):
            pixel_spacing(dataset)


def test_an_area_counts_pixels_by_both_distances() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[1:3, 2:5] = True
    assert area_mm2(mask, PixelSpacing(0.5, 0.25, AT_THE_DETECTOR)) == pytest.approx(6 * 0.125)


def test_a_measured_area_says_its_unit_and_plane() -> None:
    measured = measure_area(np.ones((2, 2), np.bool_), PixelSpacing(1.0, 2.0, AT_THE_DETECTOR))
    assert (measured.name, measured.unit) == (codes.SCT.Area, codes.UCUM.SquareMillimeter)
    assert (measured.unit.value, measured.value, measured.method) == ("mm2", 8.0, AT_THE_DETECTOR)
