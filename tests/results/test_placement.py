"""Where a result may lie: shown on the fewest attributes that state a plane, so that each rule stands alone."""

from __future__ import annotations

import re

import pytest
from pydicom.dataset import Dataset

from node.errors import IdentityMismatch
from node.results import placement
from node.results.items import item_of
from node.results.placement import FrameHeaders

AXIAL = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
ONE, TWO = "1.2.1", "1.2.2"


def made(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def check_planes(result: Dataset, known: FrameHeaders) -> None:
    placement.check_planes("result 1.9", item_of(result), known)


def check_derived_plane(result: Dataset, known: FrameHeaders) -> None:
    placement.check_derived_plane("result 1.9", item_of(result), known)


def slice_at(uid: str, z_mm: float, **values: object) -> Dataset:
    stated = {"ImagePositionPatient": [0.0, 0.0, z_mm], "ImageOrientationPatient": AXIAL, "PixelSpacing": [1.0, 0.5]}
    return made(SOPInstanceUID=uid, **(stated | values))


def headers(*instances: Dataset) -> FrameHeaders:
    return FrameHeaders({instance.SOPInstanceUID: instance for instance in instances})


SLICES = headers(slice_at(ONE, 0.0), slice_at(TWO, 10.0))


def naming(*uids: str) -> list[Dataset]:
    return [made(ReferencedSOPInstanceUID=uid) for uid in uids]


def derived(position: list[float], uids: tuple[str, ...] = (ONE, TWO), orientation: list[float] = AXIAL) -> Dataset:
    return made(
        SOPInstanceUID="1.9",
        SourceImageSequence=naming(*uids),
        ImagePositionPatient=position,
        ImageOrientationPatient=orientation,
    )


@pytest.mark.parametrize(
    "position",
    [[0, 0, 0], [0, 0, 5], [0, 0, 10], [0, 0, -5.0], [0, 0, 15.0], [0, 0, 15.09], [0, 0, -5.09], [1.0, 0, 5]],
)
def test_a_derived_slice_lies_at_its_two_sources_or_half_their_distance_beside_them(position: list[float]) -> None:
    check_derived_plane(derived(position), SLICES)
    check_derived_plane(derived(position, (TWO, ONE)), SLICES)


@pytest.mark.parametrize("z_mm", [15.11, -5.11, 100.0])
def test_a_derived_slice_further_away_is_refused(z_mm: float) -> None:
    with pytest.raises(IdentityMismatch, match=r"of the way from the first .* expected -0\.50 to 1\.50"):
        check_derived_plane(derived([0, 0, z_mm]), SLICES)


@pytest.mark.parametrize("aside", [[1.01, 0, 5], [0, -1.01, 5], [0.8, 0.8, 5]])
def test_a_derived_slice_more_than_a_pixel_aside_is_refused(aside: list[float]) -> None:
    with pytest.raises(IdentityMismatch, match=r"at most 1\.00 mm"):
        check_derived_plane(derived(aside), SLICES)


def test_a_derived_slice_is_measured_along_the_way_between_its_sources() -> None:
    tilted = headers(slice_at(ONE, 0.0), slice_at(TWO, 10.0, ImagePositionPatient=[0.0, 4.0, 10.0]))
    check_derived_plane(derived([0.0, 2.0, 5.0]), tilted)
    check_derived_plane(derived([0.0, 1.01, 5.0]), tilted)
    with pytest.raises(IdentityMismatch, match=r"1\.50 mm aside"):
        check_derived_plane(derived([0.0, 0.5, 5.0]), tilted)


def test_a_derived_slice_between_two_sources_in_one_place_lies_there_or_nowhere() -> None:
    same = headers(slice_at(ONE, 3.0), slice_at(TWO, 3.0))
    check_derived_plane(derived([0, 0, 3.0]), same)
    with pytest.raises(IdentityMismatch, match="of the way"):
        check_derived_plane(derived([0, 0, 5.0]), same)


@pytest.mark.parametrize("uids", [(), (ONE,), (ONE, TWO, ONE)])
def test_a_derived_slice_names_two_sources(uids: tuple[str, ...]) -> None:
    with pytest.raises(IdentityMismatch, match=rf"^result 1\.9: names {len(uids)} source slices, expected the 2"):
        check_derived_plane(derived([0, 0, 5], uids), SLICES)


def test_a_derived_slice_without_any_source_attribute_is_refused() -> None:
    bare = derived([0, 0, 5])
    del bare.SourceImageSequence
    with pytest.raises(IdentityMismatch, match="names 0 source slices"):
        check_derived_plane(bare, SLICES)


@pytest.mark.parametrize("turned", [[0, 1, 0, 1, 0, 0], [1, 0, 0, 0, 0.999, 0.04], [1, 2e-4, 0, 0, 1, 0]])
def test_a_derived_slice_that_is_not_parallel_to_its_sources_is_refused(turned: list[float]) -> None:
    with pytest.raises(IdentityMismatch, match="ImageOrientationPatient"):
        check_derived_plane(derived([0, 0, 5], orientation=turned), SLICES)


def segmentation(*frames: Dataset, **values: object) -> Dataset:
    return made(SOPInstanceUID="1.9", PerFrameFunctionalGroupsSequence=list(frames), **values)


def frame(position: list[float] | None, *references: Dataset, orientation: list[float] | None = None) -> Dataset:
    values: dict[str, object] = {}
    if position is not None:
        values["PlanePositionSequence"] = [made(ImagePositionPatient=position)]
    if orientation is not None:
        values["PlaneOrientationSequence"] = [made(ImageOrientationPatient=orientation)]
    if references:
        values["DerivationImageSequence"] = [made(SourceImageSequence=[reference]) for reference in references]
    return made(**values)


def test_a_frame_lies_in_the_slice_that_it_names() -> None:
    check_planes(segmentation(frame([0, 0, 10.0], *naming(TWO), orientation=AXIAL)), SLICES)
    check_planes(segmentation(frame([0.01, 0, 10.0], *naming(TWO), orientation=[1, 1e-4, 0, 0, 1, 0])), SLICES)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (frame([0, 0, 10.0], *naming(ONE)), "frame 2: ImagePositionPatient is"),
        (frame([0, 0, 0.011], *naming(ONE)), "frame 2: ImagePositionPatient is"),
        (frame([0, 0, 0.0], *naming(ONE), orientation=[1, 1.1e-4, 0, 0, 1, 0]), "frame 2: ImageOrientationPatient is"),
        (frame([0, 0, 0.0], *naming(ONE, TWO)), "frame 2: ImagePositionPatient is"),
        (frame([0, 0, 0.0]), "frame 2: names no source image"),
    ],
)
def test_a_frame_that_lies_elsewhere_is_refused(one: Dataset, found: str) -> None:
    with pytest.raises(IdentityMismatch, match=rf"^result 1\.9, {found}"):
        check_planes(segmentation(frame([0, 0, 0.0], *naming(ONE)), one), SLICES)


def test_a_plane_that_all_frames_share_counts_for_each() -> None:
    shared = [made(PlaneOrientationSequence=[made(ImageOrientationPatient=[0, 1, 0, 1, 0, 0])])]
    with pytest.raises(IdentityMismatch, match="frame 1: ImageOrientationPatient"):
        check_planes(segmentation(frame([0, 0, 0], *naming(ONE)), SharedFunctionalGroupsSequence=shared), SLICES)


def test_a_frame_that_states_no_position_is_passed_over_and_the_next_is_not() -> None:
    check_planes(segmentation(frame(None)), SLICES)
    with pytest.raises(IdentityMismatch, match="frame 2"):
        check_planes(segmentation(frame(None), frame([0, 0, 9.0], *naming(ONE))), SLICES)


@pytest.mark.filterwarnings("ignore:Invalid value for VR DS")
def test_a_place_that_is_no_number_is_none() -> None:
    with pytest.raises(IdentityMismatch, match=r"frame 1: ImagePositionPatient is \(nan, "):
        check_planes(segmentation(frame([float("nan"), 0, 0], *naming(ONE))), SLICES)


def test_of_an_image_without_a_place_a_frame_lies_at_the_origin() -> None:
    unplaced = headers(made(SOPInstanceUID=ONE))
    check_planes(segmentation(frame([0, 0, 0], *naming(ONE), orientation=AXIAL)), unplaced)
    with pytest.raises(IdentityMismatch, match="ImagePositionPatient"):
        check_planes(segmentation(frame([0, 0, 1], *naming(ONE))), unplaced)


def test_positions_of_two_lengths_are_never_the_same() -> None:
    odd = headers(slice_at(ONE, 0.0))
    instance = odd._instances[ONE]
    instance.ImagePositionPatient = [0.0, 0.0]
    with pytest.raises(IdentityMismatch, match="ImagePositionPatient"):
        check_planes(segmentation(frame([0, 0, 0], *naming(ONE))), odd)


def enhanced() -> Dataset:
    frames = [frame([0.0, 0.0, z], orientation=AXIAL) for z in (0.0, 10.0)]
    shared = [made(PixelMeasuresSequence=[made(PixelSpacing=[1.0, 1.0])])]
    return made(
        SOPInstanceUID=ONE,
        NumberOfFrames=2,
        PerFrameFunctionalGroupsSequence=frames,
        SharedFunctionalGroupsSequence=shared,
    )


def numbered(number: object) -> Dataset:
    reference = made(ReferencedSOPInstanceUID=ONE)
    if number is not None:
        reference.ReferencedFrameNumber = number
    return reference


def test_a_frame_of_a_multi_frame_source_is_named_by_its_number() -> None:
    known = headers(enhanced())
    for number, z in ((1, 0.0), (2, 10.0)):
        check_planes(segmentation(frame([0, 0, z], numbered(number))), known)
    with pytest.raises(IdentityMismatch, match="ImagePositionPatient"):
        check_planes(segmentation(frame([0, 0, 0.0], numbered(2))), known)
    assert known.of(ONE) is known.of(ONE)


@pytest.mark.parametrize(("number", "shown"), [(0, "0"), (3, "3"), (None, "None"), ([1, 2], r"1\2")])
def test_a_frame_that_the_source_does_not_have_is_refused(number: object, shown: str) -> None:
    said = rf"frame 1: names frame {re.escape(shown)} of instance 1\.2\.1, expected one of 1 to 2"
    with pytest.raises(IdentityMismatch, match=said):
        check_planes(segmentation(frame([0, 0, 0.0], numbered(number))), headers(enhanced()))


def test_an_image_of_one_frame_needs_no_number_and_has_no_second() -> None:
    check_planes(segmentation(frame([0, 0, 0.0], numbered(1))), SLICES)
    with pytest.raises(IdentityMismatch, match=r"names frame 2 .* expected one of 1 to 1"):
        check_planes(segmentation(frame([0, 0, 0.0], numbered(2))), SLICES)


def test_a_multi_frame_source_is_placed_by_the_frame_that_is_named() -> None:
    result = derived([0, 0, 5.0])
    result.SourceImageSequence = [numbered(1), numbered(2)]
    check_derived_plane(result, headers(enhanced()))
