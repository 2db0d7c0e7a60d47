"""The result objects of a volume: its masks in the planes of their sources, and what was measured in words."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pack_bits as pydicom_pack_bits
from results.lung_requests import encoded, finding, items_named
from results.volume_requests import (
    ORIENTATIONS,
    REAL_SERIES,
    enhanced_series,
    mr_series,
    real_series,
    two_sides,
    volume_request,
)

from node.errors import FindingRefused, HeaderRefused, MissingGeometry, MixedFramesOfReference, MixedOrientation
from node.imaging.volume import SliceSource
from node.results.bit_frames import pack_bits
from node.results.encode import encode_results
from node.results.read_back import read_sentences, read_volume_segments
from node.results.request import ResultKind, ResultRequest

TRACKING_UID, REFERENCED_SEGMENT, SOURCE_SERIES = "112040", "121191", "121232"
VOLUME, ATTENUATION, DERIVATION, PROCEDURE = "118565006", "112031", "121401", "121058"


@dataclass(frozen=True)
class Case:
    """A request on a series, and the SEG that it became."""

    made: ResultRequest
    segmentation: Dataset


@pytest.fixture(scope="module", params=[*REAL_SERIES, *ORIENTATIONS, "enhanced_ct"])
def case(request: pytest.FixtureRequest, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Return one series after the other: real ones, and made-up ones of odd size in every orientation."""
    if request.param in REAL_SERIES:
        sources = real_series(shared, request.param, tmp_path_factory.mktemp(request.param))
    elif request.param == "enhanced_ct":
        sources = enhanced_series(ORIENTATIONS["oblique"])
    else:
        sources = mr_series(ORIENTATIONS[request.param])
    made = two_sides(sources)
    return Case(made, segmentation_of(made))


def segmentation_of(made: ResultRequest) -> Dataset:
    return encoded(made)[ResultKind.SEGMENTATION]


def test_a_volume_mask_comes_back_bit_for_bit(case: Case) -> None:
    segments = read_volume_segments(case.segmentation, case.made.slice_sources)
    assert [segment.label for segment in segments] == ["Right lung", "Left lung"]
    for segment, sent in zip(segments, case.made.findings, strict=True):
        assert np.array_equal(segment.mask, sent.mask)


def test_highdicom_puts_the_mask_where_the_volume_is(case: Case) -> None:
    grid = case.made.grid
    assert grid is not None
    read = hd.seg.Segmentation.from_dataset(case.segmentation)
    volume = read.get_volume(segment_numbers=[1], combine_segments=True, rtol=0.02, allow_missing_positions=True)
    inside = np.argwhere(volume.array)
    sent = case.made.findings[0].mask
    assert len(inside) == sent.sum()
    for index in inside[:: max(1, len(inside) // 50)]:
        place = grid.index_of(volume.map_indices_to_reference(index[np.newaxis])[0])
        assert np.abs(place - np.rint(place)).max() < 0.5
        assert sent[tuple(np.rint(place).astype(int))]


def test_each_frame_lies_in_the_plane_of_the_source_it_names(case: Case) -> None:
    by_uid = {source.SOPInstanceUID: source for source in case.made.sources}
    for frame in case.segmentation.PerFrameFunctionalGroupsSequence:
        (reference,) = frame.DerivationImageSequence[0].SourceImageSequence
        source = by_uid[reference.ReferencedSOPInstanceUID]
        if "PerFrameFunctionalGroupsSequence" in source:
            named = source.PerFrameFunctionalGroupsSequence[reference.ReferencedFrameNumber - 1]
            source = named.PlanePositionSequence[0]
        assert frame.PlanePositionSequence[0].ImagePositionPatient == source.ImagePositionPatient


def test_a_segmentation_shares_size_place_and_orientation_with_its_source(case: Case) -> None:
    segmentation, source = case.segmentation, case.made.source
    assert segmentation.FrameOfReferenceUID == source.FrameOfReferenceUID
    assert (segmentation.Rows, segmentation.Columns) == (source.Rows, source.Columns)
    (shared_groups,) = segmentation.SharedFunctionalGroupsSequence
    if "ImageOrientationPatient" in source:
        orientation = shared_groups.PlaneOrientationSequence[0].ImageOrientationPatient
        assert orientation == source.ImageOrientationPatient
    assert case.made.grid is not None
    step_mm = float(shared_groups.PixelMeasuresSequence[0].SpacingBetweenSlices)
    assert step_mm == pytest.approx(case.made.grid.spacing_mm[0])


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_order_in_which_sources_arrive_changes_no_byte(orientation: str) -> None:
    sources = mr_series(ORIENTATIONS[orientation])
    expected = encode_results(two_sides(sources))
    shuffled = random.Random(3).sample(sources, len(sources))
    for order in (sources[::-1], shuffled):
        digest = two_sides(sources).inputs_digest
        assert encode_results(two_sides(order, inputs_digest=digest)) == expected


def test_a_volume_numbered_from_the_other_end_keeps_each_mask_on_its_plane() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    assert made.grid is not None
    last = made.grid.position_mm((len(made.slice_sources) - 1, 0, 0))
    step, *in_plane = made.grid.steps_mm
    flipped = replace(
        made,
        slice_sources=made.slice_sources[::-1],
        grid=replace(made.grid, origin_mm=tuple(last), steps_mm=(tuple(-length for length in step), *in_plane)),
        findings=tuple(replace(one, mask=one.mask[::-1]) for one in made.findings),
    )
    read = read_volume_segments(segmentation_of(flipped), made.slice_sources)
    for segment, sent in zip(read, made.findings, strict=True):
        assert np.array_equal(segment.mask, sent.mask)


def test_masks_and_slices_in_different_orders_are_refused() -> None:
    made = two_sides(mr_series(ORIENTATIONS["oblique"]))
    with pytest.raises(FindingRefused, match=r"slice 0 of the masks: pixel 0, 0 lies at .* mm"):
        encode_results(replace(made, slice_sources=made.slice_sources[::-1]))


def test_a_grid_with_rows_and_columns_exchanged_is_refused() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"], (4, 9, 9)))
    assert made.grid is not None
    step, down, right = made.grid.steps_mm
    with pytest.raises(FindingRefused, match="pixel 8, 0"):
        encode_results(replace(made, grid=replace(made.grid, steps_mm=(step, right, down))))


def test_a_slice_of_an_instance_that_was_not_analysed_is_refused() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    with pytest.raises(HeaderRefused, match=made.sources[-1].SOPInstanceUID):
        encode_results(replace(made, sources=made.sources[:-1]))


def test_a_frame_that_the_source_does_not_have_is_refused() -> None:
    made = two_sides(enhanced_series(ORIENTATIONS["axial"]))
    beyond = SliceSource(made.slice_sources[0].sop_instance_uid, 99)
    with pytest.raises(HeaderRefused, match="frame 99"):
        encode_results(replace(made, slice_sources=(beyond, *made.slice_sources[1:])))


def lose(keyword: str) -> Callable[[Dataset], None]:
    return lambda source: delattr(source, keyword)


def state(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda source: setattr(source, keyword, value)


@pytest.mark.parametrize(
    ("spoil", "refusal"),
    [
        (lose("FrameOfReferenceUID"), MissingGeometry),
        (lose("ImagePositionPatient"), MissingGeometry),
        (state("FrameOfReferenceUID", "1.2.3"), MixedFramesOfReference),
        (state("ImageOrientationPatient", [0, 1, 0, 1, 0, 0]), MixedOrientation),
        (state("SOPInstanceUID", ""), HeaderRefused),
    ],
)
def test_a_slice_that_does_not_fit_the_others_is_refused(spoil, refusal: type[Exception]) -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    spoil(made.sources[2])
    with pytest.raises(refusal):
        encode_results(made)


def test_a_mask_on_another_grid_is_refused() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    cut = replace(made.findings[0], mask=made.findings[0].mask[1:])
    with pytest.raises(FindingRefused, match=r"\(4, 13, 11\), its source \(5, 13, 11\) \(slices, rows, columns\)"):
        encode_results(replace(made, findings=(cut,)))


def test_slices_without_a_grid_are_a_programming_error() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    with pytest.raises(ValueError, match="5 slice sources for a grid of 0 slices"):
        replace(made, grid=None)


def test_a_slice_in_which_a_segment_is_not_seen_has_no_frame() -> None:
    sources = mr_series(ORIENTATIONS["axial"])
    mask = np.zeros((5, 13, 11), dtype=bool)
    mask[[1, 3], 4:6, 5:9] = True
    other = np.zeros_like(mask)
    other[3, 0, 0] = True
    segmentation = segmentation_of(volume_request(sources, [finding(mask, "right"), finding(other, "left")]))
    assert segmentation.NumberOfFrames == 3
    indices = [
        list(frame.FrameContentSequence[0].DimensionIndexValues)
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    assert indices == [[1, 1], [1, 2], [2, 2]]
    (referenced,) = segmentation.ReferencedSeriesSequence
    assert len(referenced.ReferencedInstanceSequence) == len(sources)


def test_segments_that_share_voxels_are_said_to_overlap() -> None:
    sources = mr_series(ORIENTATIONS["axial"])
    assert segmentation_of(two_sides(sources)).SegmentsOverlap == "YES"
    mask = np.zeros((5, 13, 11), dtype=bool)
    mask[2, :6] = True
    apart = volume_request(sources, [finding(mask, "right"), finding(~mask, "left")])
    assert segmentation_of(apart).SegmentsOverlap == "NO"


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (13, 11), (8, 8), (2, 4)])
def test_frames_that_end_within_a_byte_are_packed_as_pydicom_packs_them(size: tuple[int, int]) -> None:
    masks = np.random.default_rng(1).random((7, *size)) < 0.5
    assert pack_bits(masks) == pydicom_pack_bits(masks.astype(np.uint8), pad=True)


def test_another_process_encodes_the_same_bytes() -> None:
    made = two_sides(mr_series(ORIENTATIONS["oblique"]))
    here = [hashlib.sha256(result.encoded).hexdigest() for result in encode_results(made)]
    program = (
        "import hashlib\n"
        "from results.volume_requests import ORIENTATIONS, mr_series, two_sides\n"
        "from node.results.encode import encode_results\n"
        "for result in encode_results(two_sides(mr_series(ORIENTATIONS['oblique']))):\n"
        "    print(hashlib.sha256(result.encoded).hexdigest())\n"
    )
    root = Path(__file__).parents[2]
    there = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": f"{root}:{root / 'tests'}", "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.split() == here


def test_a_volume_has_no_contours() -> None:
    results = encoded(two_sides(mr_series(ORIENTATIONS["axial"])))
    assert list(results) == [ResultKind.SEGMENTATION, ResultKind.MEASUREMENT_REPORT, ResultKind.TEXT_REPORT]


def test_a_group_measures_the_segment_that_is_tracked_by_its_uid() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    results = encoded(made)
    segmentation, report = results[ResultKind.SEGMENTATION], results[ResultKind.MEASUREMENT_REPORT]
    tracked = [segment.TrackingUID for segment in segmentation.SegmentSequence]
    assert [item.UID for item in items_named(report, TRACKING_UID)] == tracked
    references = [item.ReferencedSOPSequence[0] for item in items_named(report, REFERENCED_SEGMENT)]
    assert [reference.ReferencedSegmentNumber for reference in references] == [1, 2]
    assert {reference.ReferencedSOPInstanceUID for reference in references} == {segmentation.SOPInstanceUID}
    assert {item.UID for item in items_named(report, SOURCE_SERIES)} == {made.source.SeriesInstanceUID}


def test_the_volume_and_the_mean_of_a_segment_are_measured_as_such() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    report = encoded(made)[ResultKind.MEASUREMENT_REPORT]
    volume = items_named(report, VOLUME)[0].MeasuredValueSequence[0]
    assert float(volume.NumericValue) == pytest.approx(made.findings[0].mask.sum() * 0.9 * 0.7 * 2.5 / 1000)
    assert volume.MeasurementUnitsCodeSequence[0].CodeValue == "cm3"
    mean = items_named(report, ATTENUATION)[0]
    assert mean.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue == "[hnsf'U]"
    (derivation,) = items_named(mean, DERIVATION)
    assert derivation.ConceptCodeSequence[0].CodeMeaning == "Mean"


def test_a_code_of_our_own_names_who_is_responsible_for_it() -> None:
    report = encoded(two_sides(mr_series(ORIENTATIONS["axial"])))[ResultKind.MEASUREMENT_REPORT]
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeResponsibleOrganization) == ("99RADNODE", "radnode")


@pytest.mark.parametrize(("modality", "code"), [("CT", "25045-6"), ("MR", "25056-3"), ("PT", "363679005")])
def test_the_procedure_reported_is_that_of_the_modality(modality: str, code: str) -> None:
    results = encoded(two_sides(mr_series(ORIENTATIONS["axial"], Modality=modality)))
    for kind in (ResultKind.MEASUREMENT_REPORT, ResultKind.TEXT_REPORT):
        (procedure,) = items_named(results[kind], PROCEDURE)
        assert procedure.ConceptCodeSequence[0].CodeValue == code


def test_the_report_says_in_words_what_was_measured_in_which_series() -> None:
    made = two_sides(mr_series(ORIENTATIONS["axial"]))
    volume = made.findings[0].measurements[0].value
    sentences = read_sentences(encoded(made)[ResultKind.TEXT_REPORT])
    assert "Analysed volume: series 4, 5 slices, 2.50 mm apart." in sentences
    assert (
        f"Right lung: volume {volume:.3f} cm3, mean attenuation coefficient -823.4 HU, "
        "low attenuation area below -950 HU 7.2 %." in sentences
    )


def test_a_series_in_which_nothing_was_found_is_reported_in_words_only() -> None:
    results = encoded(volume_request(mr_series(ORIENTATIONS["axial"]), []))
    assert list(results) == [ResultKind.TEXT_REPORT]
    sentences = read_sentences(results[ResultKind.TEXT_REPORT])
    assert "Lungs on chest radiographs found nothing to outline in this series." in sentences


def test_every_source_is_evidence_of_every_report() -> None:
    sources = mr_series(ORIENTATIONS["axial"])
    results = encoded(two_sides(sources))
    for kind in (ResultKind.MEASUREMENT_REPORT, ResultKind.TEXT_REPORT):
        (study,) = results[kind].CurrentRequestedProcedureEvidenceSequence
        referenced = {
            item.ReferencedSOPInstanceUID
            for one in study.ReferencedSeriesSequence
            for item in one.ReferencedSOPSequence
        }
        assert referenced >= {source.SOPInstanceUID for source in sources}


def test_five_structures_in_three_hundred_slices_fit_into_one_object() -> None:
    sources = mr_series(ORIENTATIONS["axial"], (300, 13, 11))
    masks = np.random.default_rng(2).random((5, 300, 13, 11)) < 0.5
    made = volume_request(sources, [finding(mask, is_measured=False) for mask in masks])
    segmentation = segmentation_of(made)
    assert segmentation.NumberOfFrames == 1500
    assert segmentation.file_meta.TransferSyntaxUID == uid.ExplicitVRLittleEndian
    for segment, mask in zip(read_volume_segments(segmentation, made.slice_sources), masks, strict=True):
        assert np.array_equal(segment.mask, mask)
