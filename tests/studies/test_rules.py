"""Criteria and the sentences they give."""

from __future__ import annotations

import pytest
from indexed import AXIAL, CORONAL, SAGITTAL, ct_series, instance
from pydantic import ValidationError
from pydicom import uid

from node.selector import Range, Selector
from node.studies.rules import check_instance, check_series
from node.studies.traits import Traits, read_traits

CHEST = read_traits(
    instance(
        sender="XRAY1",
        sop_class=uid.DigitalXRayImageStorageForPresentation,
        Modality="DX",
        BodyPartExamined="CHEST",
        ViewPosition="PA",
        StudyDescription="Thorax p.a.",
    )
)


def said(traits: Traits = CHEST, **criteria: object) -> list[tuple[bool, str]]:
    return [(check.is_met, check.sentence) for check in check_instance(Selector(**criteria), traits)]


def is_met(criterion: str, expected: object, **header: object) -> bool:
    (check,) = check_instance(Selector(**{criterion: expected}), read_traits(instance(**header)))
    return check.is_met


def test_without_criteria_nothing_is_asked() -> None:
    assert said() == []


def test_every_criterion_is_reported_also_after_one_has_failed() -> None:
    assert said(modality=("CT",), body_part=("CHEST",), sender=("OTHER",)) == [
        (False, "Modality 'DX' does not match 'CT'"),
        (True, "BodyPartExamined 'CHEST' matches 'CHEST'"),
        (False, "sender 'XRAY1' does not match 'OTHER'"),
    ]


def test_a_sentence_ends_with_whose_criterion_it_is() -> None:
    (check,) = check_instance(Selector(view_position=("LL", "")), CHEST, " (model m)")
    assert check.sentence == "ViewPosition 'PA' does not match 'LL' or '' (model m)"


def test_upper_and_lower_case_are_one() -> None:
    assert is_met("body_part", ["chest"], BodyPartExamined="CHEST")
    assert is_met("manufacturer", ["Siemens"], Manufacturer="SIEMENS")


def test_a_description_is_searched_in_study_and_series() -> None:
    assert is_met("description", "thorax", StudyDescription="THORAX p.a.")
    assert is_met("description", "thorax", SeriesDescription="Thorax")
    assert not is_met("description", "^knee", StudyDescription="Thorax", SeriesDescription="left knee")


def test_a_sop_class_is_named_by_keyword() -> None:
    assert said(sop_class=("CTImageStorage",)) == [
        (False, "SOP class 'DigitalXRayImageStorageForPresentation' does not match 'CTImageStorage'")
    ]
    assert is_met("sop_class", ["CTImageStorage"])


@pytest.mark.parametrize(
    ("expected", "image_type", "matches"),
    [
        (["!LOCALIZER"], ["ORIGINAL", "PRIMARY", "AXIAL"], True),
        (["!LOCALIZER"], ["ORIGINAL", "PRIMARY", "LOCALIZER"], False),
        (["AXIAL", "!DERIVED"], ["ORIGINAL", "PRIMARY", "AXIAL"], True),
        (["AXIAL", "!DERIVED"], ["DERIVED", "PRIMARY", "AXIAL"], False),
        (["AXIAL", "!DERIVED"], ["ORIGINAL", "PRIMARY"], False),
        (["!LOCALIZER"], [], True),
    ],
)
def test_a_value_may_be_excluded(expected: list[str], image_type: list[str], matches: bool) -> None:
    assert is_met("image_type", expected, ImageType=image_type) is matches


def test_an_exclusion_says_what_was_asked() -> None:
    traits = read_traits(instance(ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    assert said(traits, image_type=("AXIAL", "!LOCALIZER")) == [
        (False, r"ImageType 'ORIGINAL\PRIMARY\LOCALIZER' does not match 'AXIAL' and not 'LOCALIZER'")
    ]


@pytest.mark.parametrize(
    ("cosines", "plane"),
    [
        (AXIAL, "axial"),
        ([-1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "axial"),
        (SAGITTAL, "sagittal"),
        (CORONAL, "coronal"),
        ([1.0, 0.0, 0.0, 0.0, 0.9063, -0.4226], "axial"),  # a gantry tilted by 25 degrees
        ([1.0, 0.0, 0.0, 0.0, 0.7071, -0.7071], "oblique"),
    ],
)
def test_the_orientation_is_that_of_the_image_plane(cosines: list[float], plane: str) -> None:
    assert is_met("orientation", [plane], ImageOrientationPatient=cosines)


def test_an_image_without_orientation_has_none() -> None:
    traits = read_traits(instance())
    assert said(traits, orientation=("axial",)) == [(False, "orientation '' does not match 'axial'")]


@pytest.mark.parametrize(("agent", "contrast"), [("Omnipaque", True), ("", False), ("NONE", False), (None, False)])
def test_contrast_is_what_the_agent_states(agent: str | None, contrast: bool) -> None:
    header = {} if agent is None else {"ContrastBolusAgent": agent}
    assert is_met("contrast", contrast, **header)
    assert not is_met("contrast", not contrast, **header)


@pytest.mark.parametrize(
    ("criterion", "keyword", "value"),
    [
        ("slice_thickness_mm", "SliceThickness", 3.0),
        ("pixel_spacing_mm", "PixelSpacing", [3.0, 3.0]),
        ("echo_time_ms", "EchoTime", 3.0),
        ("repetition_time_ms", "RepetitionTime", 3.0),
        ("field_strength_tesla", "MagneticFieldStrength", 3.0),
    ],
)
def test_a_number_is_compared_with_both_ends_of_a_range(criterion: str, keyword: str, value: object) -> None:
    assert is_met(criterion, Range(min=3, max=3), **{keyword: value})
    assert not is_met(criterion, Range(min=3.1), **{keyword: value})
    assert not is_met(criterion, Range(max=2.9), **{keyword: value})
    assert not is_met(criterion, Range(min=0))


def test_a_range_says_what_was_found_and_expected() -> None:
    thick = read_traits(instance(SliceThickness=5.0))
    assert said(thick, slice_thickness_mm={"max": 3}) == [(False, "SliceThickness 5 mm does not match at most 3 mm")]
    assert said(read_traits(instance()), echo_time_ms={"min": 3, "max": 4}) == [
        (False, "EchoTime not stated does not match 3 to 4 ms")
    ]


@pytest.mark.parametrize(
    ("criterion", "keyword", "value", "expected"),
    [
        ("anatomy", "AnatomicRegionSequence", ["SCT:51185008"], ["SCT:51185008"]),
        ("procedure", "ProcedureCodeSequence", ["LN:24627-2"], ["LN:24627-2"]),
        ("laterality", "ImageLaterality", "L", ["l"]),
        ("laterality", "Laterality", "R", ["R"]),
        ("scan_options", "ScanOptions", ["FS", "PFP"], ["FS"]),
        ("scanning_sequence", "ScanningSequence", ["SE", "IR"], ["IR"]),
        ("manufacturer_model", "ManufacturerModelName", "Skyra", ["SKYRA"]),
        ("station", "StationName", "CT1", ["CT1"]),
        ("kernel", "ConvolutionKernel", ["B70f", "3"], "^b[67]"),
        ("protocol", "ProtocolName", "Chest low dose", "low.?dose"),
        ("study_description", "StudyDescription", "Chest", "chest"),
        ("series_description", "SeriesDescription", "Lung 1.0", "lung"),
    ],
)
def test_each_criterion_reads_its_attribute(criterion: str, keyword: str, value: object, expected: object) -> None:
    assert is_met(criterion, expected, **{keyword: value})
    assert not is_met(criterion, expected)


def test_the_address_of_the_sender_is_a_criterion() -> None:
    assert is_met("sender_address", ["10.0.0.7"])
    assert not is_met("sender_address", ["10.0.0.8"])


def test_slices_and_their_distance_are_asked_of_the_series() -> None:
    selector = Selector(slices=Range(min=20), slice_spacing_mm=Range(max=2))
    assert [(c.is_met, c.sentence) for c in check_series(selector, ct_series(slices=10, step_mm=5.0).instances)] == [
        (False, "slices 10 does not match at least 20"),
        (False, "distance between slices 5 mm does not match at most 2 mm"),
    ]
    assert all(check.is_met for check in check_series(selector, ct_series(slices=20, step_mm=1.5).instances))


def test_frames_count_as_slices() -> None:
    (check,) = check_series(Selector(slices=Range(min=96)), [instance(NumberOfFrames=96)])
    assert check.is_met


def test_nothing_about_the_patient_can_be_asked() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        Selector(patient_name=("X",))  # type: ignore[call-arg]
