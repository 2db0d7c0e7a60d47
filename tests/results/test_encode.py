"""The result objects of a job: their bytes, their UIDs, and what they say of the patient."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom import dcmread, dcmwrite, uid
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from results.lung_requests import (
    NO_AREA,
    encoded,
    finding,
    found_on,
    items_named,
    nothing_found,
    request,
    two_lungs,
    unsided_lungs,
)

from node.errors import FindingRefused, HeaderRefused
from node.results.encode import encode_results
from node.results.read_back import read_segments, read_sentences
from node.results.request import KeyPicture, ResultKind, ResultRequest
from node.results.segmentation import encode_segmentation

TRACKING_UID, IMAGE_REGION, AREA, LATERALITY = "112040", "111030", "42798000", "272741003"
REPORTS = (ResultKind.MEASUREMENT_REPORT, ResultKind.CONTOUR_REPORT, ResultKind.TEXT_REPORT)
MEASURED = (ResultKind.MEASUREMENT_REPORT, ResultKind.CONTOUR_REPORT)


def small(**facts: object) -> ResultRequest:
    """Return one square on a small made-up picture, for tests in which what is shown does not matter."""
    source = chest_dx(shaded_picture(), **facts)
    mask = np.zeros((61, 47), dtype=bool)
    mask[5:30, 7:40] = True
    return request(source, [finding(mask)], picture=KeyPicture(np.zeros((61, 47), dtype=np.float32)))


def test_every_kind_of_result_is_sent_for_findings_each_in_its_own_series() -> None:
    results = encode_results(small())
    assert [result.kind for result in results] == [
        ResultKind.SEGMENTATION,
        ResultKind.MEASUREMENT_REPORT,
        ResultKind.CONTOUR_REPORT,
        ResultKind.TEXT_REPORT,
        ResultKind.KEY_IMAGE,
    ]
    assert len({result.series_instance_uid for result in results}) == len(results)
    for result in results:
        dataset = dcmread(BytesIO(result.encoded))
        assert dataset.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
        assert (result.sop_class_uid, result.sop_instance_uid, result.series_instance_uid) == (
            dataset.SOPClassUID,
            dataset.SOPInstanceUID,
            dataset.SeriesInstanceUID,
        )


@pytest.mark.parametrize("make", [two_lungs, unsided_lungs])
def test_a_mask_comes_back_bit_for_bit(shared: Path, make: Callable[[Path], ResultRequest]) -> None:
    made = make(shared)
    segments = read_segments(encoded(made)[ResultKind.SEGMENTATION])
    assert [segment.label for segment in segments] == [finding.label for finding in made.findings]
    for segment, sent in zip(segments, made.findings, strict=True):
        assert np.array_equal(segment.mask, sent.mask)


@pytest.mark.parametrize("size", [(2, 5), (3, 5), (61, 47), (8, 8)])
def test_segments_of_any_size_do_not_bleed_into_each_other(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(3).random((2, *size)) < 0.5
    noise[:, 0, 0] = True
    made = request(chest_dx(shaded_picture(*size)), [finding(noise[0], "right"), finding(noise[1], "left")])
    right, left = read_segments(encode_segmentation(made))
    assert np.array_equal(right.mask, noise[0])
    assert np.array_equal(left.mask, noise[1])


def test_another_process_encodes_the_same_bytes(shared: Path) -> None:
    made = two_lungs(shared)
    here = [hashlib.sha256(result.encoded).hexdigest() for result in encode_results(made)]
    program = (
        "import hashlib, pathlib, sys\n"
        "from results.lung_requests import encode_results, two_lungs\n"
        "for result in encode_results(two_lungs(pathlib.Path(sys.argv[1]))):\n"
        "    print(hashlib.sha256(result.encoded).hexdigest())\n"
    )
    root = Path(__file__).parents[2]
    there = subprocess.run(
        [sys.executable, "-c", program, shared],
        env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here


def test_two_images_of_a_study_do_not_share_a_uid() -> None:
    first, second = (encode_results(small(instance_number=number)) for number in (1, 2))
    for one, other in zip(first, second, strict=True):
        assert one.sop_instance_uid != other.sop_instance_uid
        assert one.series_instance_uid != other.series_instance_uid


def test_another_model_on_the_same_image_makes_other_instances() -> None:
    made = small()
    other = replace(made, model=replace(made.model, sha256="d" * 64))
    first, second = ({result.sop_instance_uid for result in encode_results(one)} for one in (made, other))
    assert len(first) == len(second) == len(encode_results(made))
    assert first.isdisjoint(second)


def test_segment_and_reports_track_a_finding_by_one_uid(shared: Path) -> None:
    results = encoded(two_lungs(shared))
    tracked = [segment.tracking_uid for segment in read_segments(results[ResultKind.SEGMENTATION])]
    assert len(set(tracked)) == 2
    for kind in MEASURED:
        assert [item.UID for item in items_named(results[kind], TRACKING_UID)] == tracked


def test_the_side_of_a_lung_is_coded_in_segment_and_reports(shared: Path) -> None:
    results = encoded(two_lungs(shared))
    for segment, meaning in zip(results[ResultKind.SEGMENTATION].SegmentSequence, ("Right", "Left"), strict=True):
        (property_type,) = segment.SegmentedPropertyTypeCodeSequence
        assert property_type.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == meaning
    for kind in MEASURED:
        sides = [item.ConceptCodeSequence[0].CodeMeaning for item in items_named(results[kind], LATERALITY)]
        assert sides == ["Right", "Left"]


def test_areas_are_stated_as_measured_with_the_plane_they_hold_in() -> None:
    made = small()
    (area,) = made.findings[0].measurements
    results = encoded(made)
    for kind in MEASURED:
        (item,) = items_named(results[kind], AREA)
        value = item.MeasuredValueSequence[0]
        assert float(value.NumericValue) == pytest.approx(area.value)
        assert value.MeasurementUnitsCodeSequence[0].CodeValue == "cm2"
        assert item.ContentSequence[0].TextValue == "at the detector"
    assert "Lung: area 4.042 cm2 (at the detector)." in read_sentences(results[ResultKind.TEXT_REPORT])


def test_a_finding_without_area_says_so_and_gives_the_reason(shared: Path) -> None:
    results = encoded(unsided_lungs(shared))
    sentences = read_sentences(results[ResultKind.TEXT_REPORT])
    assert "Lung: outlined, not measured." in sentences
    assert NO_AREA in sentences
    assert not items_named(results[ResultKind.MEASUREMENT_REPORT], AREA)


def test_a_model_that_found_nothing_is_reported_in_words_only(shared: Path) -> None:
    results = encoded(nothing_found(shared))
    assert list(results) == [ResultKind.TEXT_REPORT]
    sentences = read_sentences(results[ResultKind.TEXT_REPORT])
    assert "Lungs on chest radiographs found nothing to outline in this image." in sentences


def test_every_result_says_that_it_is_not_for_diagnosis_and_which_model_made_it() -> None:
    made = small()
    for kind, result in encoded(made).items():
        assert "not for diagnosis" in result.SeriesDescription
        assert made.model.title in result.SeriesDescription
        assert result.ContentQualification == "RESEARCH"
        models = {item.ManufacturerModelName: item for item in result.ContributingEquipmentSequence}
        assert made.model.sha256 in models[made.model.name].SoftwareVersions
        if kind in REPORTS:
            assert (result.CompletionFlag, result.VerificationFlag) == ("COMPLETE", "UNVERIFIED")
            assert result.PreliminaryFlag == "PRELIMINARY"
    first, second, *_ = read_sentences(encoded(made)[ResultKind.TEXT_REPORT])
    assert first == "AI result, not for diagnosis."
    assert "version 1.2.3" in second


def test_a_long_model_title_does_not_overrun_the_series_description() -> None:
    made = small()
    titled = replace(made, model=replace(made.model, title="Structures of the chest " * 9))
    for result in encoded(titled).values():
        assert len(result.SeriesDescription) <= 64
        assert "not for diagnosis" in result.SeriesDescription


def test_a_second_region_of_a_finding_is_drawn_under_a_uid_of_its_own(shared: Path) -> None:
    report = encoded(found_on(shared / "data/cxr_nih14/nih_cxr_1024.dcm"))[ResultKind.CONTOUR_REPORT]
    assert len(items_named(report, IMAGE_REGION)) == 2
    assert len({item.UID for item in items_named(report, TRACKING_UID)}) == 2


def as_sent(character_set: list[str] | None, name: str) -> Dataset:
    """Return a source as it arrives from a device that writes this character set, or Latin-1 and does not say so."""
    source = chest_dx(shaded_picture(), SpecificCharacterSet=character_set, PatientName=name)
    part10 = BytesIO()
    dcmwrite(part10, source, enforce_file_format=True)
    return dcmread(BytesIO(part10.getvalue()))


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        (["ISO_IR 100"], "Müller^Jürgen"),
        (["ISO_IR 144"], "Иванов^Иван"),
    ],
)
def test_a_name_in_the_characters_of_its_country_survives(character_set: list[str], name: str) -> None:
    made = small()
    results = encoded(replace(made, sources=(as_sent(character_set, name),)))
    for result in results.values():
        assert result.SpecificCharacterSet == "ISO_IR 192"
        assert str(result.PatientName) == name


@pytest.mark.parametrize("character_set", [None, ["ISO_IR 6"]])
def test_a_name_in_a_character_set_that_nobody_declared_keeps_its_bytes(character_set: list[str] | None) -> None:
    sent = "Иванов^Иван".encode("cp1251")
    made = replace(small(), sources=(as_sent(character_set, sent.decode("latin-1")),))
    objects = encode_results(replace(made, model=replace(made.model, title="Lungs \u2013 5 ± 2 µm, très bien")))
    for written in objects:
        result = dcmread(BytesIO(written.encoded))
        assert "SpecificCharacterSet" not in result
        assert b"PN" + len(sent + b" ").to_bytes(2, "little") + sent + b" " in written.encoded
        del result.PatientName
        assert str(result).isascii()
        assert "Lungs - 5 +/- 2 um, tres bien" in str(result)


@pytest.mark.parametrize("missing", ["StudyID", "StudyDate", "PatientID", "PatientOrientation", "BodyPartExamined"])
def test_an_attribute_the_sender_left_out_is_not_made_up(missing: str) -> None:
    for result in encoded(small(**{missing: None})).values():
        assert not result.get(missing)


@pytest.mark.filterwarnings("ignore:.*exceeds the maximum length:UserWarning")
def test_identity_is_copied_even_where_its_value_breaks_the_rules() -> None:
    long_id = "0123456789" * 8
    for result in encoded(small(PatientID=long_id)).values():
        assert result.PatientID == long_id


@pytest.mark.filterwarnings("ignore:Invalid value for VR AS:UserWarning")
def test_an_age_that_breaks_the_rules_is_left_out() -> None:
    for result in encoded(small(PatientAge="81")).values():
        assert "PatientAge" not in result


def test_a_lossy_source_makes_a_segmentation_that_says_so() -> None:
    made = small(LossyImageCompression="01", LossyImageCompressionRatio=12)
    made.source.file_meta.TransferSyntaxUID = uid.JPEG2000
    segmentation = encoded(made)[ResultKind.SEGMENTATION]
    assert segmentation.LossyImageCompression == "01"
    assert segmentation.LossyImageCompressionMethod == "ISO_15444_1"


def test_times_are_written_in_the_time_zone_of_the_study() -> None:
    made = small(TimezoneOffsetFromUTC="+0900")
    for result in encoded(made).values():
        assert (result.ContentDate, result.ContentTime) == ("20250304", "140607.000089")
        assert result.TimezoneOffsetFromUTC == "+0900"
    utc = encoded(small())[ResultKind.TEXT_REPORT]
    assert utc.ContentTime == "050607.000089"
    assert made.local_time - small().pinned_at == timedelta(0)


@pytest.mark.parametrize("missing", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "Rows"])
def test_a_source_that_results_cannot_refer_to_is_refused_by_name(missing: str) -> None:
    made = small()
    del made.source[missing]
    with pytest.raises(HeaderRefused, match=missing):
        encode_results(made)


def test_a_mask_on_another_grid_is_refused() -> None:
    made = small()
    with pytest.raises(FindingRefused, match=r"\(47, 61\)"):
        encode_results(replace(made, findings=(finding(np.ones((47, 61), dtype=bool)),)))


def test_an_empty_mask_is_refused() -> None:
    made = small()
    with pytest.raises(FindingRefused, match="empty"):
        encode_results(replace(made, findings=(finding(np.zeros((61, 47), dtype=bool)),)))
