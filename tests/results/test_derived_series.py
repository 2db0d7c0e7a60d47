"""A finer volume becomes a series of its own: same box, same intensities, marked as computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from results.image_requests import FACTORS, refined, refinement_request, small_mr
from results.volume_requests import volume_request
from volumes import ct_study, enhanced

from node.errors import FindingRefused, IdentityMismatch
from node.imaging.regrid import is_same_grid
from node.imaging.series import read_volume
from node.results.encode import encode_results
from node.results.identity import check_results
from node.results.read_back import read_sentences
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import Refinement, study_identity

SOURCES = {"single_frame": small_mr(), "multi_frame": [enhanced(small_mr())]}


def derived(made: ResultRequest) -> list[Dataset]:
    return objects(made, ResultKind.DERIVED_SERIES)


def objects(made: ResultRequest, kind: ResultKind) -> list[Dataset]:
    return [dcmread(BytesIO(result.encoded)) for result in encode_results(made) if result.kind is kind]


@pytest.mark.parametrize("name", SOURCES)
def test_a_receiver_reads_the_very_volume_on_the_very_grid(name: str) -> None:
    finer = refined(SOURCES[name])
    read = read_volume(derived(refinement_request(SOURCES[name])))
    assert is_same_grid(read.grid, finer.grid)
    assert read.grid.shape == (24, 48, 30)
    assert np.array_equal(read.voxels, finer.voxels)
    assert read.frame_of_reference_uid == SOURCES[name][0].FrameOfReferenceUID


@pytest.mark.parametrize(
    ("slope", "intercept", "factor"),
    [(0.37, -12.5, 1.0), (1, 0, 60.0), (1, -60000, 1.0), (1e-4, 0, 1.0)],
)
def test_intensities_are_kept_whatever_the_rescale_of_the_source(
    slope: float, intercept: float, factor: float
) -> None:
    sources = small_mr(RescaleSlope=slope, RescaleIntercept=intercept)
    voxels = refined(sources).voxels.astype(np.float32) * np.float32(factor)
    read = read_volume(derived(refinement_request(sources, voxels)))
    step = float(np.ptp(voxels)) / 65_000
    assert np.abs(read.voxels - voxels).max() <= step
    assert float(read.voxels.mean(dtype=np.float64)) == pytest.approx(float(voxels.mean(dtype=np.float64)), abs=step)


def test_values_between_whole_numbers_are_rounded_only_where_the_source_was_whole() -> None:
    sources = small_mr()
    voxels = refined(sources).voxels + np.float32(0.25)
    first = derived(refinement_request(sources, voxels))[0]
    assert "RescaleSlope" not in first
    assert np.array_equal(first.pixel_array, np.rint(voxels[0]))


def test_a_derived_image_says_that_it_is_computed_and_from_what() -> None:
    sources = SOURCES["single_frame"]
    images = derived(refinement_request(sources))
    by_uid = {source.SOPInstanceUID: number for number, source in enumerate(sources)}
    for place, image in enumerate(images):
        assert (image.ImageType, image.InstanceNumber) == (["DERIVED", "SECONDARY", "OTHER"], place + 1)
        named = [by_uid[item.ReferencedSOPInstanceUID] for item in image.SourceImageSequence]
        nearest = (place + 0.5) / FACTORS[0] - 0.5
        assert named[1] == named[0] + 1
        assert -0.5 <= nearest - named[0] <= 1.5
    first = images[0]
    assert [item.CodeValue for item in first.DerivationCodeSequence] == ["113085", "123110"]
    assert "4 x 2 x 1 times finer" in first.DerivationDescription
    assert "not for diagnosis" in first.SeriesDescription
    assert (first.ContentQualification, first.SeriesNumber) == ("RESEARCH", 300)


def test_a_derived_image_keeps_how_its_source_was_acquired() -> None:
    source = SOURCES["single_frame"][0]
    image = derived(refinement_request(SOURCES["single_frame"]))[0]
    for keyword in ("RepetitionTime", "EchoTime", "MagneticFieldStrength", "PatientPosition", "BodyPartExamined"):
        assert image[keyword].value == source[keyword].value
    assert (float(image.SliceThickness), float(image.SpacingBetweenSlices)) == (1.25, 1.25)


def test_a_derived_series_is_one_series_of_instances_of_their_own() -> None:
    images = derived(refinement_request(SOURCES["multi_frame"]))
    assert len({image.SOPInstanceUID for image in images}) == 24
    (series,) = {image.SeriesInstanceUID for image in images}
    assert series not in {source.SeriesInstanceUID for source in SOURCES["multi_frame"]}


def test_equal_refinements_of_sources_in_any_order_give_equal_bytes() -> None:
    sources = SOURCES["single_frame"]
    made = refinement_request(sources)
    turned = refinement_request(sources[::-1], inputs_digest=made.inputs_digest)
    assert encode_results(made) == encode_results(turned)


def test_the_report_says_how_fine_the_series_is_and_that_it_is_estimated() -> None:
    (report,) = objects(refinement_request(SOURCES["single_frame"]), ResultKind.TEXT_REPORT)
    assert (
        "Finer volume: a derived series of 24 slices, 1.25 mm apart, with pixels of 0.75 by 1.00 mm; what lies between "
        "acquired pixels is estimated."
    ) in read_sentences(report)


def test_a_refinement_that_is_not_on_the_finer_grid_is_refused() -> None:
    voxels = refined(SOURCES["single_frame"]).voxels.astype(np.float32)
    with pytest.raises(FindingRefused, match=r"refinement finer: it has shape \(24, 48, 29\), expected \(24, 48, 30\)"):
        encode_results(refinement_request(SOURCES["single_frame"], voxels[..., 1:]))


def test_a_refinement_that_no_worker_could_hold_is_refused() -> None:
    made = refinement_request(SOURCES["single_frame"])
    factors = (1, 400, 200)
    voxels = np.broadcast_to(np.float32(0), (6, 24 * 400, 30 * 200))
    with pytest.raises(FindingRefused, match="voxels, expected at most 200,000,000"):
        encode_results(replace(made, refinements=(Refinement("finer", "Finer volume", voxels, factors),)))


def test_a_finer_ct_is_refused() -> None:
    sources = ct_study(slices=4)
    finer = Refinement("finer", "Finer volume", np.zeros((8, 24, 30), np.float32), (2, 1, 1))
    with pytest.raises(FindingRefused, match="no MR volume but CT"):
        encode_results(volume_request(sources, [], refinements=(finer,)))


def leave_the_box(image: Dataset) -> None:
    image.ImagePositionPatient = [float(value) + 4.0 for value in image.ImagePositionPatient]


def shift_aside(image: Dataset) -> None:
    along_row = [float(value) for value in image.ImageOrientationPatient[:3]]
    places = zip(image.ImagePositionPatient, along_row, strict=True)
    image.ImagePositionPatient = [float(place) + 2.0 * step for place, step in places]


def turn_the_plane(image: Dataset) -> None:
    image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def name_no_source(image: Dataset) -> None:
    del image.SourceImageSequence


def name_the_first_slices(image: Dataset) -> None:
    uids = [source.SOPInstanceUID for source in SOURCES["single_frame"][:2]]
    for sequence in (image.SourceImageSequence, image.ReferencedSeriesSequence[0].ReferencedInstanceSequence):
        for item, uid in zip(sequence, uids, strict=True):
            item.ReferencedSOPInstanceUID = uid


def become_another_patient(image: Dataset) -> None:
    image.PatientID = "SOMEONE-ELSE"


def claim_another_frame_of_reference(image: Dataset) -> None:
    image.FrameOfReferenceUID = "2.25.1234567890"


@pytest.mark.parametrize("name", SOURCES)
def test_a_derived_series_belongs_to_the_series_it_was_computed_from(name: str) -> None:
    sources = SOURCES[name]
    check_results(derived(refinement_request(sources)), sources, study_identity(sources[0]))


@pytest.mark.parametrize(
    ("displace", "message"),
    [
        (leave_the_box, "of the way from the first to the second source slice"),
        (shift_aside, "2.03 mm aside"),
        (turn_the_plane, "ImageOrientationPatient"),
        (name_no_source, "names 0 source slices"),
        (name_the_first_slices, "of the way from the first to the second source slice"),
        (become_another_patient, "PatientID"),
        (claim_another_frame_of_reference, "FrameOfReferenceUID"),
    ],
)
def test_one_derived_image_that_lies_elsewhere_stops_them_all(
    displace: Callable[[Dataset], None], message: str
) -> None:
    sources = SOURCES["single_frame"]
    images = derived(refinement_request(sources))
    displace(images[20])
    with pytest.raises(IdentityMismatch, match=message):
        check_results(images, sources, study_identity(sources[0]))
