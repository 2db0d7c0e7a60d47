"""Slices find their place in the patient in every orientation, and no series that does not fit gets through."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from volumes import MARKER_HU, ORIENTATIONS, Direction, ct_study, mr_study, with_one_frame_of_reference

from node.errors import (
    GantryTilt,
    MissingGeometry,
    MixedFramesOfReference,
    MixedImages,
    MixedOrientation,
    RepeatedPositions,
    SeriesRefused,
    SingleSlice,
    UnevenSlices,
)
from node.imaging.series import read_volume

MARKER = (12.0, -4.0, 137.0)
SIGNED_AXES = [tuple(sign if k == axis else 0 for k in range(3)) for axis in range(3) for sign in (1, -1)]
SQUARE_ORIENTATIONS = [
    (row, column) for row, column in itertools.product(SIGNED_AXES, repeat=2) if not np.dot(row, column)
]


def assert_marker_is_found(instances: list[Dataset]) -> None:
    volume = read_volume(instances)
    index = np.unravel_index(np.argmax(volume.voxels), volume.voxels.shape)
    assert volume.voxels[index] == MARKER_HU
    off = np.abs(volume.grid.index_of(np.array(MARKER)) - np.array(index))
    assert off.max() <= 0.5, f"{off} voxels off"
    back = volume.grid.position_mm((float(index[0]), float(index[1]), float(index[2])))
    np.testing.assert_allclose(volume.grid.index_of(back), index, atol=1e-9)


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("orientation", SQUARE_ORIENTATIONS)
def test_a_marker_comes_back_from_any_of_48_ways_to_store_a_volume(
    orientation: tuple[Direction, Direction], is_reversed: bool
) -> None:
    instances = ct_study(orientation=orientation, marker=MARKER)
    assert_marker_is_found(instances[::-1] if is_reversed else instances)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_marker_comes_back_from_shuffled_files(orientation: str) -> None:
    instances = ct_study(orientation=orientation, marker=MARKER)
    random.Random(5).shuffle(instances)
    assert_marker_is_found(instances)


def test_slices_are_sorted_by_position_whatever_instance_numbers_say() -> None:
    instances = ct_study(InstanceNumber=lambda index: 20 - index)
    sources = [source.sop_instance_uid for source in read_volume(instances[::-1]).sources]
    assert sources == [instance.SOPInstanceUID for instance in instances]


def test_rows_and_columns_keep_their_own_spacing() -> None:
    # MONAI Deploy's operator swapped the two (fault 2 of peers.md).
    volume = read_volume(ct_study(spacing=(2.5, 10.5, 12.0)))
    np.testing.assert_allclose(volume.grid.spacing_mm, (2.5, 10.5, 12.0))
    np.testing.assert_allclose(volume.grid.steps_mm, [(0, 0, 2.5), (0, 10.5, 0), (12.0, 0, 0)], atol=1e-12)


def test_the_distance_of_slices_is_that_of_positions_and_not_slice_thickness() -> None:
    volume = read_volume(ct_study(spacing=(3.0, 1, 1), SliceThickness=5, SpacingBetweenSlices=4))
    assert volume.grid.spacing_mm[0] == pytest.approx(3.0)
    assert volume.grid.voxel_mm3 == pytest.approx(3.0)


@pytest.mark.parametrize("gap_at", [1, 7, 18])
def test_a_missing_slice_is_refused_and_the_gap_named(gap_at: int) -> None:
    # MONAI Deploy's operator took a step of 3.0 or 4.0 mm without a word (fault 3 of peers.md).
    with pytest.raises(UnevenSlices, match=r"4\.000 mm between .* expected 2\.000 mm .* 1 slice\(s\) are missing"):
        read_volume(ct_study(slices=20, gap_at=gap_at))


def test_a_slice_without_position_is_refused_by_its_uid() -> None:
    # MONAI Deploy's operator dropped it silently (fault 4 of peers.md).
    instances = ct_study()
    del instances[3].ImagePositionPatient
    with pytest.raises(MissingGeometry, match=f"{instances[3].SOPInstanceUID}.*ImagePositionPatient: found none"):
        read_volume(instances)


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_slice_is_refused(count: int) -> None:
    # MONAI Deploy's operator gave it no affine (fault 5 of peers.md).
    with pytest.raises(SingleSlice, match=f"found {count} slice"):
        read_volume(ct_study()[:count])


def test_a_slice_sent_twice_is_refused() -> None:
    instances = ct_study()
    with pytest.raises(RepeatedPositions, match=str(instances[4].SOPInstanceUID)):
        read_volume([*instances, instances[4]])


def test_steps_that_round_within_two_percent_pass() -> None:
    volume = read_volume(_uneven([0, 2.0, 4.03, 6.0, 8.0]))
    assert volume.grid.spacing_mm[0] == pytest.approx(2.0)


def test_a_step_off_by_more_than_two_percent_is_refused() -> None:
    with pytest.raises(UnevenSlices, match=r"found a step of 2\.050 mm between 2\.00 and 4\.05 mm .*even slices"):
        read_volume(_uneven([0, 2.0, 4.05, 6.0, 8.0]))


def test_small_steps_that_add_up_to_half_a_slice_are_refused() -> None:
    steps = [2.0] * 60 + [2.036] * 60
    with pytest.raises(UnevenSlices, match="from where even slices"):
        read_volume(_uneven([0, *np.cumsum(steps)]))


def _uneven(positions_mm: list[float]) -> list[Dataset]:
    return ct_study(
        slices=len(positions_mm), shape=(4, 4), ImagePositionPatient=lambda index: [0, 0, float(positions_mm[index])]
    )


@pytest.mark.parametrize("orientation", ["axial", "oblique", "feet first"])
@pytest.mark.parametrize("shear", [0.3, -1.0])
def test_slices_shifted_sideways_are_refused_as_gantry_tilt(shear: float, orientation: str) -> None:
    with pytest.raises(GantryTilt, match="sideways"):
        read_volume(ct_study(shear=shear, orientation=orientation))


def test_a_stated_tilt_without_tilted_positions_is_refused() -> None:
    with pytest.raises(GantryTilt, match="found 12 degrees with positions that show no tilt"):
        read_volume(ct_study(GantryDetectorTilt=12))


def test_a_reformatted_series_may_keep_the_tilt_it_was_made_with() -> None:
    volume = read_volume(ct_study(GantryDetectorTilt=12, ImageType=["DERIVED", "SECONDARY", "AXIAL"]))
    assert volume.grid.shape == (20, 24, 30)


@pytest.mark.parametrize(
    ("keyword", "value", "refusal"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 0, 0.9, 0.436], MixedOrientation),
        ("ImageOrientationPatient", [1, 0, 0, 0, 2, 0], MissingGeometry),
        ("ImageOrientationPatient", [1, 0, 0], MissingGeometry),
        ("ImageOrientationPatient", None, MissingGeometry),
        ("ImagePositionPatient", [1, 2], MissingGeometry),
        ("FrameOfReferenceUID", "2.25.1", MixedFramesOfReference),
        ("FrameOfReferenceUID", None, MissingGeometry),
        ("PixelSpacing", [1.0, 1.2], MixedImages),
        ("PixelSpacing", [1.0, 0], MissingGeometry),
        ("PixelSpacing", None, MissingGeometry),
        ("Rows", 23, MixedImages),
        ("SeriesInstanceUID", "2.25.2", MixedImages),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", MixedImages),
        ("RescaleType", "US", MixedImages),
    ],
)
def test_one_slice_that_differs_is_refused_by_name(keyword: str, value: Any, refusal: type[SeriesRefused]) -> None:
    instances = ct_study()
    if value is None:
        del instances[9][keyword]
    else:
        setattr(instances[9], keyword, value)
    with pytest.raises(refusal, match=keyword) as raised:
        read_volume(instances)
    assert "expected" in str(raised.value)
    assert "VOLUME-1" not in str(raised.value)


def test_orientations_that_differ_by_rounding_are_one() -> None:
    instances = mr_study()
    instances[2].ImageOrientationPatient = [0.99999, 0, 0.00004, 0, 1, 0]
    assert read_volume(instances).grid.shape[0] == 20


def test_rounded_positions_of_a_real_mr_are_accepted(real_series: Callable[[str], list[Dataset]]) -> None:
    volume = read_volume(real_series("mr_pd_axial_ge_signa"))
    assert volume.grid.shape == (20, 256, 256)
    np.testing.assert_allclose(volume.grid.spacing_mm, (7.0005, 0.859375, 0.859375), atol=1e-3)


def test_the_missing_slice_of_a_real_mr_is_named(real_series: Callable[[str], list[Dataset]]) -> None:
    with pytest.raises(UnevenSlices, match=r"2\.000 mm between 28\.52 and 30\.52 mm .*1 slice\(s\) are missing"):
        read_volume(real_series("mr_t1_memprage"))


def test_a_real_head_ct_with_tilted_gantry_is_refused(real_series: Callable[[str], list[Dataset]]) -> None:
    with pytest.raises(GantryTilt, match=r"shifted by 48\.21 mm .*GantryDetectorTilt 18\.5"):
        read_volume(real_series("ct_head_ge_gantrytilt"))


def test_a_real_chest_ct_whose_frame_of_reference_was_taken_apart_is_refused_until_it_has_one(
    real_series: Callable[[str], list[Dataset]],
) -> None:
    instances = real_series("ct_chest_philips_lidc")
    with pytest.raises(MixedFramesOfReference, match="found 138 different ones in 138 slices"):
        read_volume(instances)
    volume = read_volume(with_one_frame_of_reference(instances))
    np.testing.assert_allclose(volume.grid.spacing_mm, (2.0, 0.78125, 0.78125), atol=1e-9)
    assert (volume.voxels.dtype, int(volume.voxels.min())) == (np.int16, -1000)
