"""Enhanced and legacy converted instances become the same volume as the slices they hold."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedMRImageStorage, generate_uid
from volumes import ct_study, enhanced, mr_study, read_all

from node.errors import MissingGeometry, PixelsRefused, RepeatedPositions, SeriesRefused, SeveralVolumes
from node.imaging.regrid import is_same_grid
from node.imaging.series import read_volume, read_volumes
from node.imaging.splitting import split_series
from node.imaging.volume import Unit, Volume


def assert_same_voxels(volume: Volume, other: Volume) -> None:
    assert is_same_grid(volume.grid, other.grid)
    assert (volume.unit, volume.frame_of_reference_uid) == (other.unit, other.frame_of_reference_uid)
    np.testing.assert_array_equal(volume.voxels, other.voxels)
    np.testing.assert_array_equal(volume.padding, other.padding)


@pytest.mark.parametrize("shared", [("PixelMeasures",), ("PixelMeasures", "PlaneOrientation")])
@pytest.mark.parametrize("study", [ct_study, mr_study])
def test_an_enhanced_instance_is_the_volume_of_its_frames(
    study: Callable[..., list[Dataset]], shared: tuple[str, ...]
) -> None:
    frames = study(orientation="oblique", marker=(7.0, -11.0, 130.0))
    random.Random(2).shuffle(frames)
    whole = enhanced(frames, shared=shared)
    volume = read_volume([whole])
    assert_same_voxels(volume, read_volume(frames))
    order = sorted(range(20), key=lambda index: frames[index].InstanceNumber)
    assert [source.frame_number for source in volume.sources] == [index + 1 for index in order]
    assert {source.sop_instance_uid for source in volume.sources} == {whole.SOPInstanceUID}


def test_each_frame_is_rescaled_by_its_own_line() -> None:
    frames = ct_study(slices=3, hu=0, RescaleIntercept=lambda k: -1024 + k)
    assert read_volume([enhanced(frames)]).voxels[:, 0, 0].tolist() == [0, 1, 2]


def test_what_a_frame_states_goes_before_what_frames_share() -> None:
    whole = enhanced(ct_study(slices=3, hu=0), shared=("PixelMeasures", "PixelValueTransformation"))
    own = Dataset()
    own.RescaleSlope, own.RescaleIntercept, own.RescaleType = 1, -1000, "HU"
    whole.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence = [own]
    assert read_volume([whole]).voxels[:, 0, 0].tolist() == [0, 24, 0]


def test_padding_of_a_multi_frame_instance_is_masked() -> None:
    whole = enhanced(ct_study(slices=2, hu=[[[-1024] + [0] * 29]]), shared=("PixelMeasures",))
    whole.PixelPaddingValue = 0
    volume = read_volume([whole])
    assert volume.padding[..., 0].all()
    assert int(volume.voxels.min()) == 0


def test_a_concatenation_is_joined_and_one_that_lacks_a_part_refused() -> None:
    frames = ct_study()
    parts = [enhanced(frames[:8]), enhanced(frames[8:14]), enhanced(frames[14:])]
    for number, part in enumerate(parts, start=1):
        part.ConcatenationUID = "2.25.5"
        part.InConcatenationNumber, part.InConcatenationTotalNumber = number, 3
    volume = read_volume(parts[::-1])
    assert_same_voxels(volume, read_volume(frames))
    assert volume.sources[8].frame_number == 1
    with pytest.raises(SeriesRefused, match=r"InConcatenationNumber: found parts \[1, 2\], expected 1 to 3"):
        read_volume(parts[:2])


def test_phases_in_one_instance_are_read_apart_and_named() -> None:
    phases = [
        instance
        for phase in (1, 2)
        for instance in mr_study(slices=5, hu=100 * phase, TemporalPositionIndex=phase, InversionTime=phase * 10)
    ]
    whole = enhanced(phases)
    with pytest.raises(SeveralVolumes, match="TemporalPositionIndex: found 2 volumes"):
        read_volume([whole])
    with pytest.raises(SeveralVolumes, match="the frames of one instance"):
        split_series([whole])
    volumes = read_volumes([whole])
    assert [str(key) for key in volumes] == ["TemporalPositionIndex 1", "TemporalPositionIndex 2"]
    assert [int(volume.voxels.max()) for volume in volumes.values()] == [1124, 1224]
    assert [volume.sources[0].frame_number for volume in volumes.values()] == [1, 6]


@pytest.mark.parametrize("macro", ["PlanePositionSequence", "PlaneOrientationSequence"])
def test_a_frame_without_its_place_is_refused_by_number(macro: str) -> None:
    whole = enhanced(ct_study(slices=4))
    del whole.PerFrameFunctionalGroupsSequence[2][macro]
    with pytest.raises(MissingGeometry, match=f"frame 3 of instance {whole.SOPInstanceUID}"):
        read_volume([whole])


def test_frames_and_groups_that_differ_in_number_are_refused() -> None:
    whole = enhanced(ct_study(slices=4))
    whole.NumberOfFrames = 5
    with pytest.raises(MissingGeometry, match="found 4 items for 5 frames"):
        read_volume([whole])


def test_a_frame_that_is_cut_off_is_refused() -> None:
    whole = enhanced(ct_study(slices=4))
    whole.PixelData = whole.PixelData[:-400]
    with pytest.raises(PixelsRefused, match="cannot be decoded"):
        read_volume([whole])


def test_frames_at_one_place_that_nothing_tells_apart_are_refused() -> None:
    frames = ct_study(slices=4)
    with pytest.raises(RepeatedPositions, match=r"frame 1 of .* and frame 5 of"):
        read_volume([enhanced([*frames, *frames])])


def test_a_real_enhanced_mr_is_where_highdicom_says(real_series: Callable[[str], list[Dataset]]) -> None:
    (whole,) = real_series("mr_enhanced_t1")
    assert whole.SOPClassUID == EnhancedMRImageStorage
    volume = read_volume([whole])
    assert (volume.grid.shape, volume.unit, volume.voxels.dtype) == ((96, 128, 128), Unit.STORED, np.int16)
    theirs = highdicom.Image.from_dataset(whole).get_volume(rtol=0.02, dtype=np.float32)
    is_reversed = theirs.affine[:3, 0] @ volume.grid.affine[:3, 0] < 0
    np.testing.assert_array_equal(theirs.array[::-1] if is_reversed else theirs.array, volume.voxels)
    last = volume.grid.shape[0] - 1
    for index in (0, 40, last):
        theirs_index = last - index if is_reversed else index
        np.testing.assert_allclose(
            (theirs.affine @ [theirs_index, 0, 0, 1])[:3], volume.grid.position_mm((index, 0, 0)), atol=1e-3
        )
    frame = volume.sources[40].frame_number
    assert frame is not None
    np.testing.assert_array_equal(volume.voxels[40], whole.pixel_array[frame - 1])


def test_a_legacy_converted_ct_is_the_volume_it_was_converted_from() -> None:
    frames = ct_study(InstitutionName="None", ContentDate="20260102", ContentTime="101112", InstanceNumber=lambda k: k)
    for frame in frames:
        frame.AcquisitionDate, frame.AcquisitionTime = "20260102", "101112"
    converted = LegacyConvertedEnhancedCTImage(frames, generate_uid(), 3, generate_uid(), 1)
    assert_same_voxels(read_volume([converted]), read_volume(frames))


@pytest.mark.parametrize("name", ["CT_148f44_mf", "CT_8171fb_mf"])
def test_collected_legacy_converted_cts_are_read(shared: Path, name: str) -> None:
    (whole,) = read_all([shared / f"data/dicom_misc/{name}.dcm"])
    volume = read_volume([whole])
    assert volume.grid.shape == (3, whole.Rows, whole.Columns)
    assert volume.grid.spacing_mm == pytest.approx((2.5, 0.7, 0.7))


def test_a_collected_enhanced_ct_in_jpeg_extended_is_decoded_frame_by_frame(shared: Path) -> None:
    (whole,) = read_all([shared / "data/dicom_misc/CT_8f589e_CT0012.fragmented_no_bot_jpeg_baseline.51.dcm"])
    volume: Any = read_volume([whole])
    assert volume.grid.shape == (2, 512, 512)
    assert (volume.voxels[0] != volume.voxels[1]).any()
