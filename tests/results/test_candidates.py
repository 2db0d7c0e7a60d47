"""Candidates in a volume are drawn where they are widest, tracked, scored and placed in words."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from results.image_requests import candidate_request, small_mr
from results.lung_requests import encoded, items_named
from results.volume_requests import mr_series, two_sides
from volumes import enhanced

from node.results.candidates import Place, place_of
from node.results.encode import encode_results
from node.results.identity import check_results
from node.results.profiles import kinds_for
from node.results.read_back import read_sentences, read_volume_segments
from node.results.request import ResultKind
from node.vocabulary import ResultProfile, study_identity

GROUP, IMAGE_REGION = "125007", "111030"
TRACKING_UID, PROBABILITY, LONG_AXIS, VOLUME = "112040", "122157", "103339001", "118565006"
SOURCES = {"single_frame": small_mr(), "multi_frame": [enhanced(small_mr())]}


def number_in(group: Dataset, code_value: str) -> float:
    (item,) = items_named(group, code_value)
    return float(item.MeasuredValueSequence[0].NumericValue)


def groups_of(report: Dataset) -> list[Dataset]:
    return items_named(report, GROUP)


@pytest.mark.parametrize("name", SOURCES)
def test_each_candidate_is_outlined_on_the_slice_where_it_is_widest(name: str) -> None:
    made = candidate_request(SOURCES[name])
    groups = groups_of(encoded(made)[ResultKind.CONTOUR_REPORT])
    shown = []
    for group in groups:
        (region,) = items_named(group, IMAGE_REGION)
        (image,) = region.ContentSequence
        (reference,) = image.ReferencedSOPSequence
        shown.append((reference.ReferencedSOPInstanceUID, reference.get("ReferencedFrameNumber")))
    expected = [made.slice_sources[number] for number in (2, 4, 4)]
    assert shown == [(source.sop_instance_uid, source.frame_number) for source in expected]


def test_the_outline_on_a_slice_encloses_the_pixels_of_the_candidate_there() -> None:
    made = candidate_request(SOURCES["single_frame"])
    (region,) = items_named(groups_of(encoded(made)[ResultKind.CONTOUR_REPORT])[0], IMAGE_REGION)
    points = np.array(region.GraphicData).reshape(-1, 2)
    assert (points.min(axis=0).tolist(), points.max(axis=0).tolist()) == ([4, 5], [9, 11])
    assert region.GraphicType == "POLYLINE"


def test_the_first_part_of_an_outline_has_the_tracking_uid_of_the_segment_with_score_and_diameter() -> None:
    made = candidate_request(SOURCES["single_frame"])
    results = encoded(made)
    first, second, part = groups_of(results[ResultKind.CONTOUR_REPORT])
    segments = read_volume_segments(results[ResultKind.SEGMENTATION], made.slice_sources)
    tracked = [items_named(group, TRACKING_UID)[0].UID for group in (first, second, part)]
    assert tracked[:2] == [segment.tracking_uid for segment in segments[1:]]
    assert tracked[2] not in {segment.tracking_uid for segment in segments}
    assert [number_in(group, PROBABILITY) for group in (first, second)] == [0.9, 0.4]
    assert number_in(first, LONG_AXIS) == pytest.approx(np.hypot(6 * 1.5, 4 * 1.0), abs=1e-3)
    assert items_named(part, PROBABILITY) == []


def test_the_volume_of_a_candidate_is_in_the_report_of_its_segment_and_not_on_a_slice() -> None:
    results = encoded(candidate_request(SOURCES["single_frame"]))
    assert items_named(results[ResultKind.CONTOUR_REPORT], VOLUME) == []
    groups = groups_of(results[ResultKind.MEASUREMENT_REPORT])
    assert [len(items_named(group, VOLUME)) for group in groups] == [0, 1, 1]
    assert [len(items_named(group, PROBABILITY)) for group in groups] == [0, 1, 1]


def test_the_report_in_words_says_where_a_candidate_is_seen_and_what_it_lies_in() -> None:
    sentences = read_sentences(encoded(candidate_request(SOURCES["single_frame"]))[ResultKind.TEXT_REPORT])
    (inside, outside) = [sentence for sentence in sentences if sentence.startswith("Nodule candidate")]
    assert "probability 0.900" in inside
    assert inside.endswith(" Widest on image 3 of series 2 (slice 3 of 6), inside: right lung.")
    assert outside.endswith(" Widest on image 5 of series 2 (slice 5 of 6).")


def test_a_candidate_inside_nothing_is_placed_by_its_slice_alone() -> None:
    made = candidate_request(SOURCES["single_frame"])
    assert [place_of(made, found) for found in made.findings[1:]] == [Place(2, "Right lung"), Place(4, "")]


def test_findings_without_a_score_are_no_candidates() -> None:
    results = encoded(two_sides(mr_series((1, 0, 0, 0, 1, 0))))
    assert ResultKind.CONTOUR_REPORT not in results


def test_a_viewer_that_draws_outlines_gets_those_of_candidates() -> None:
    assert {ResultKind.CONTOUR_REPORT, ResultKind.PARAMETRIC_MAP} <= kinds_for(ResultProfile.OHIF)


@pytest.mark.parametrize("name", SOURCES)
def test_candidates_belong_to_the_series_they_were_found_in(name: str) -> None:
    sources = SOURCES[name]
    results = [dcmread(BytesIO(result.encoded)) for result in encode_results(candidate_request(sources))]
    check_results(results, sources, study_identity(sources[0]))
