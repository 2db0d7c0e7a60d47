"""The guard for volumes: each frame of a SEG must lie in the very slice that it names."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from pydicom.dataset import Dataset
from results.lung_requests import encoded, items_named
from results.volume_requests import ORIENTATIONS, enhanced_series, mr_series, two_sides

from node.errors import IdentityMismatch
from node.results.identity import check_identity
from node.results.request import ResultKind
from node.vocabulary import study_identity

OTHER_UID = "2.25.1234567890"
SOURCE_SERIES = "121232"
SERIES = {
    "single_frame": mr_series(ORIENTATIONS["oblique"]),
    "multi_frame": enhanced_series(ORIENTATIONS["oblique"]),
}
Results = dict[ResultKind, Dataset]


@pytest.fixture(params=SERIES)
def sources(request: pytest.FixtureRequest) -> list[Dataset]:
    return SERIES[request.param]


@pytest.fixture
def results(sources: list[Dataset]) -> Results:
    return encoded(two_sides(sources))


def check(results: Results, kind: ResultKind, sources: list[Dataset]) -> None:
    siblings = [result for other, result in results.items() if other is not kind]
    check_identity(results[kind], sources, study_identity(sources[0]), siblings)


def references(segmentation: Dataset) -> list[Dataset]:
    return [
        frame.DerivationImageSequence[0].SourceImageSequence[0]
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]


def test_results_of_a_volume_belong_to_the_instances_they_were_made_from(
    results: Results, sources: list[Dataset]
) -> None:
    for kind in results:
        check(results, kind, sources)


def move_a_frame(segmentation: Dataset) -> None:
    position = segmentation.PerFrameFunctionalGroupsSequence[1].PlanePositionSequence[0]
    position.ImagePositionPatient = [float(value) + 0.02 for value in position.ImagePositionPatient]


def turn_the_planes(segmentation: Dataset) -> None:
    plane = segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    plane.ImageOrientationPatient = list(ORIENTATIONS["axial"])


def name_the_slice_next_to_it(segmentation: Dataset) -> None:
    for one, other in pairwise(references(segmentation)):
        one.ReferencedSOPInstanceUID = other.ReferencedSOPInstanceUID
        if "ReferencedFrameNumber" in one:
            one.ReferencedFrameNumber = other.ReferencedFrameNumber


def name_no_slice(segmentation: Dataset) -> None:
    segmentation.PerFrameFunctionalGroupsSequence[2].DerivationImageSequence = []


def claim_another_frame_of_reference(segmentation: Dataset) -> None:
    segmentation.FrameOfReferenceUID = OTHER_UID


@pytest.mark.parametrize(
    ("displace", "message"),
    [
        (move_a_frame, "frame 2: ImagePositionPatient"),
        (turn_the_planes, "frame 1: ImageOrientationPatient"),
        (name_the_slice_next_to_it, "ImagePositionPatient"),
        (name_no_slice, "frame 3: names no source image"),
        (claim_another_frame_of_reference, "FrameOfReferenceUID"),
    ],
)
def test_a_frame_that_lies_elsewhere_is_refused(
    results: Results, sources: list[Dataset], displace: Callable[[Dataset], None], message: str
) -> None:
    displace(results[ResultKind.SEGMENTATION])
    with pytest.raises(IdentityMismatch, match=message):
        check(results, ResultKind.SEGMENTATION, sources)


@pytest.mark.parametrize("number", [0, 6, None])
def test_a_frame_number_that_the_source_does_not_have_is_refused(number: int | None) -> None:
    sources = SERIES["multi_frame"]
    results = encoded(two_sides(sources))
    references(results[ResultKind.SEGMENTATION])[0].ReferencedFrameNumber = number
    with pytest.raises(IdentityMismatch, match=rf"names frame {number} .* expected one of 1 to 5"):
        check(results, ResultKind.SEGMENTATION, sources)


def test_a_segment_said_to_come_from_another_series_is_refused(results: Results, sources: list[Dataset]) -> None:
    items_named(results[ResultKind.MEASUREMENT_REPORT], SOURCE_SERIES)[0].UID = OTHER_UID
    with pytest.raises(IdentityMismatch, match="source series of a segment"):
        check(results, ResultKind.MEASUREMENT_REPORT, sources)


@pytest.mark.parametrize("kind", [ResultKind.SEGMENTATION, ResultKind.TEXT_REPORT])
def test_a_result_of_a_slice_that_is_no_longer_there_is_refused(kind: ResultKind) -> None:
    sources = SERIES["single_frame"]
    results = encoded(two_sides(sources))
    with pytest.raises(IdentityMismatch, match="referenced instance"):
        check(results, kind, sources[:-1])


def test_a_slice_of_another_patient_stops_the_results(results: Results) -> None:
    sources = mr_series(ORIENTATIONS["oblique"])
    sources[3].PatientID = "SOMEONE-ELSE"
    with pytest.raises(IdentityMismatch, match="PatientID"):
        check(encoded(two_sides(sources)), ResultKind.TEXT_REPORT, sources)
