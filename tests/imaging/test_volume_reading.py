"""Stored values become HU or keep their unit, slice by slice, as pydicom, highdicom and SimpleITK have them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from volumes import ct_study, enhanced, mr_study

from node.errors import MixedImages, PixelsRefused, StudyRefused
from node.imaging.itk import grid_of
from node.imaging.series import read_volume
from node.imaging.volume import Unit, Volume

SeriesReader = Callable[[str], list[Dataset]]


def by_instance(volume: Volume, instances: list[Dataset]) -> list[tuple[NDArray[Any], Dataset]]:
    """Return each slice with the instance it came from, found by SOP Instance UID."""
    known = {instance.SOPInstanceUID: instance for instance in instances}
    return [(volume.voxels[k], known[source.sop_instance_uid]) for k, source in enumerate(volume.sources)]


def test_air_is_minus_1000_hu_although_the_first_slice_needs_fewer_bits() -> None:
    # MONAI Deploy's operator took the first slice's type for all: air became 64536 (fault 1 of peers.md).
    hu = np.full((4, 24, 30), -1000, np.int16)
    hu[0] = 100
    instances = ct_study(slices=4, hu=hu)
    instances[0].PixelRepresentation = 1
    volume = read_volume(instances)
    assert (volume.unit, volume.voxels.dtype) == (Unit.HOUNSFIELD, np.int16)
    np.testing.assert_array_equal(volume.voxels, hu)


def test_each_slice_is_rescaled_by_its_own_line() -> None:
    instances = ct_study(slices=3, hu=0, RescaleSlope=lambda k: (1, 2, 1)[k], RescaleIntercept=lambda k: -1000 * k)
    assert read_volume(instances).voxels[:, 0, 0].tolist() == [1024, 1048, -976]


def test_slopes_that_are_not_whole_keep_their_fractions() -> None:
    # SimpleITK's series reader truncates them when the first slice's slope is whole.
    volume = read_volume(ct_study(slices=3, hu=0, RescaleSlope=lambda k: (1, 0.5005, 1)[k]))
    assert volume.voxels.dtype == np.float32
    np.testing.assert_allclose(volume.voxels[:, 0, 0], [0, 1024 * 0.5005 - 1024, 0], rtol=1e-6)


def test_values_beyond_16_signed_bits_do_not_wrap_round() -> None:
    hu = np.zeros((3, 24, 30))
    hu[2, 5, 5] = 60000
    volume = read_volume(ct_study(slices=3, hu=hu))
    assert volume.voxels.dtype == np.float32
    assert (volume.voxels[2, 5, 5], volume.voxels[0, 0, 0]) == (60000, 0)


def test_signed_values_of_12_bits_keep_their_sign() -> None:
    instances = mr_study(slices=2, shape=(2, 2), BitsStored=12, HighBit=11, PixelRepresentation=1)
    for instance in instances:
        instance.PixelData = np.array([0x0FFF, 0xFFFF, 0x07FF, 0x0800], "<u2").tobytes()
    assert read_volume(instances).voxels[0].ravel().tolist() == [-1, -1, 2047, -2048]


def test_padding_is_masked_and_takes_the_lowest_value_of_the_rest() -> None:
    hu = np.full((3, 24, 30), -900, np.int16)
    hu[:, 0, 0], hu[1, 1, 1] = -1024, -1023
    volume = read_volume(ct_study(slices=3, hu=hu, PixelPaddingValue=0, PixelPaddingRangeLimit=1))
    assert np.argwhere(volume.padding).tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1], [2, 0, 0]]
    assert set(volume.voxels.ravel().tolist()) == {-900}


@pytest.mark.parametrize("slope", [1, 100_000])  # beyond 32 bits, too
def test_padding_far_below_16_bits_neither_widens_nor_wraps(slope: int) -> None:
    facts = {"RescaleSlope": slope, "RescaleIntercept": -1024 * slope, "RescaleType": "US"}
    instances = ct_study(slices=2, shape=(2, 2), PixelRepresentation=1, PixelPaddingValue=-32768, **facts)
    for instance in instances:
        instance.PixelData = np.array([-32768, 1024, 1024, 1024 + (slope == 1)], "<i2").tobytes()
    volume = read_volume(instances)
    assert volume.voxels.dtype == np.int16
    assert volume.voxels[0].ravel().tolist() == [0, 0, 0, int(slope == 1)]
    assert volume.padding[0].ravel().tolist() == [True, False, False, False]


def test_signed_padding_written_as_unsigned_is_found() -> None:
    instances = ct_study(slices=2, shape=(2, 2), RescaleIntercept=0, PixelRepresentation=1)
    for instance in instances:
        instance.PixelData = np.array([-1400, 24, 1064, 1024], "<i2").tobytes()
        instance.add_new("PixelPaddingValue", "US", 65536 - 1400)
    assert read_volume(instances).padding[1].ravel().tolist() == [True, False, False, False]


@pytest.mark.parametrize("filler", [-1500, -2000, -3024])
def test_what_lies_outside_the_field_of_view_is_padding_even_if_the_header_is_silent(filler: int) -> None:
    hu = np.full((2, 24, 30), -1000, np.int16)
    hu[:, :2] = filler
    instances = ct_study(slices=2, hu=hu + 4000, RescaleIntercept=-5024)
    volume = read_volume(instances)
    assert volume.padding[:, :2].all()
    assert not volume.padding[:, 2:].any()
    assert int(volume.voxels.min()) == -1000


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("odd", [{}, {"RescaleSlope": lambda k: 0.5 if k == 30 else 1}])
def test_slices_of_every_kind_between_one_another_are_what_they_are_alone(threads: int, odd: dict[str, Any]) -> None:
    hu = np.random.default_rng(1).integers(-1000, 3000, (40, 6, 5)).astype(np.int16)
    hu[7, 2], hu[21, :, 3] = -2000, -1024
    instances = ct_study(slices=40, shape=(6, 5), hu=hu, PixelRepresentation=1, **odd)
    instances[21].PixelPaddingValue = 0  # stored; -1024 HU
    instances[33].PixelData, instances[33].BitsAllocated = bytes(range(30)), 8
    instances[33].BitsStored, instances[33].HighBit, instances[33].PixelRepresentation = 8, 7, 0
    hu[33] = np.arange(30).reshape(6, 5) - 1024
    volume = read_volume(instances, threads=threads)
    expected = hu.astype(np.float64)
    if odd:
        expected[30] = (expected[30] + 1024) * 0.5 - 1024
    assert np.argwhere(volume.padding).tolist() == [[7, 2, column] for column in range(5)] + [
        [21, row, 3] for row in range(6)
    ]
    expected[volume.padding] = expected[~volume.padding].min()
    assert volume.voxels.dtype == (np.float32 if odd else np.int16)
    np.testing.assert_array_equal(volume.voxels, expected)


def test_a_series_of_nothing_but_padding_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="nothing but padding"):
        read_volume(ct_study(slices=2, hu=-1024, PixelPaddingValue=0))


@pytest.mark.parametrize(
    "facts", [{"RescaleType": "US"}, {"RescaleType": "HU_MOD"}, {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}]
)
def test_ct_values_that_are_no_hu_are_not_called_so(facts: dict[str, Any]) -> None:
    assert read_volume(ct_study(**facts)).unit is Unit.STORED


def test_a_ct_that_does_not_name_its_rescale_type_is_in_hu() -> None:
    assert read_volume(ct_study(RescaleType=None)).unit is Unit.HOUNSFIELD


def test_an_mr_with_a_rescale_is_rescaled_and_one_without_is_as_stored() -> None:
    plain = read_volume(mr_study(hu=0))
    scaled = read_volume(mr_study(hu=0, RescaleSlope=0.5, RescaleIntercept=3))
    assert (plain.unit, int(plain.voxels[0, 0, 0])) == (Unit.STORED, 1024)
    assert (scaled.unit, float(scaled.voxels[0, 0, 0])) == (Unit.STORED, 515.0)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"RescaleSlope": None, "RescaleIntercept": None}, "RescaleSlope: found none in a CT"),
        ({"RescaleSlope": None}, "RescaleSlope: found None with RescaleIntercept"),
        ({"RescaleSlope": 0}, "a slope that is not 0"),
        ({"RescaleSlope": 1e38, "RescaleIntercept": 0}, "expected values that fit"),
        ({"RescaleSlope": -1e38, "RescaleIntercept": 0, "RescaleType": "US"}, "expected values that fit"),
        ({"HighBit": 11}, "HighBit: found 11, expected 15"),
        ({"PixelData": None}, "PixelData: found none"),
        ({"PixelData": b"12"}, "PixelData: cannot be decoded"),
        ({"PhotometricInterpretation": "RGB"}, "PhotometricInterpretation: found RGB"),
        ({"NumberOfFrames": 2}, "NumberOfFrames: found 2"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "BitsStored: found 32"),
        ({"Rows": 65535, "Columns": 65535}, "expected at most 4000000000 voxels"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "SOPClassUID: found Secondary Capture"),
    ],
)
def test_pixels_that_cannot_be_trusted_are_refused(facts: dict[str, Any], expected: str) -> None:
    with pytest.raises(PixelsRefused, match=expected):
        read_volume(ct_study(slices=2, **facts))


def test_a_modality_lut_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="ModalityLUTSequence"):
        read_volume(ct_study(slices=2, ModalityLUTSequence=[Dataset()]))


def test_polarity_changes_no_hu_but_an_inverted_mr_is_refused() -> None:
    inverted = {"PhotometricInterpretation": "MONOCHROME1"}
    np.testing.assert_array_equal(read_volume(ct_study(**inverted)).voxels, read_volume(ct_study()).voxels)
    with pytest.raises(PixelsRefused, match="found MONOCHROME1, expected MONOCHROME2"):
        read_volume(mr_study(**inverted))


def test_values_of_two_units_in_a_series_are_refused() -> None:
    with pytest.raises(MixedImages, match="RescaleType: found stored values, expected HU"):
        read_volume(ct_study(RescaleType=lambda index: "US" if index == 11 else "HU"))


def test_a_real_chest_ct_has_the_hu_of_pydicom(real_series: SeriesReader) -> None:
    instances = real_series("ct_A0001")
    volume = read_volume(instances)
    assert (volume.grid.shape, volume.unit, volume.voxels.dtype) == ((64, 512, 512), Unit.HOUNSFIELD, np.int16)
    for voxels, instance in by_instance(volume, instances)[::7]:
        np.testing.assert_array_equal(voxels, instance.pixel_array.astype(np.int32) + int(instance.RescaleIntercept))


def test_a_real_chest_ct_is_where_highdicom_says(real_series: SeriesReader) -> None:
    instances = real_series("ct_A0001")
    volume = read_volume(instances)
    theirs = highdicom.get_volume_from_series(instances, dtype=np.float32)
    assert_same_place(volume, theirs.array, theirs.affine)


def assert_same_place(volume: Volume, array: NDArray[Any], affine: NDArray[Any]) -> None:
    """Compare by place in the patient, since highdicom may count slices from the other end."""
    is_reversed = affine[:3, 0] @ volume.grid.affine[:3, 0] < 0
    for index in [(0, 0, 0), (3, 7, 11), (volume.grid.shape[0] - 1, 5, 2)]:
        mirrored = (volume.grid.shape[0] - 1 - index[0], *index[1:]) if is_reversed else index
        np.testing.assert_allclose((affine @ [*mirrored, 1])[:3], volume.grid.position_mm(index), atol=1e-4)
    np.testing.assert_array_equal(array[::-1] if is_reversed else array, volume.voxels)


@pytest.mark.parametrize("name", ["ct_A0001", "mr_t1_siemens_skyra"])
def test_a_real_series_agrees_with_simpleitk(
    name: str, real_series: SeriesReader, series_folder: Callable[[str], Path]
) -> None:
    volume = read_volume(real_series(name))
    folder = next(path.parent for path in series_folder(name).rglob("*") if path.is_file())
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    theirs = reader.Execute()
    np.testing.assert_allclose(grid_of(theirs).affine, volume.grid.affine, atol=1e-4)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(theirs), volume.voxels)


GARBAGE: tuple[Any, ...] = (None, "", "x", -1, 0, [1, 2], ["a", "b"], 1e30)


def with_garbage(instances: list[Dataset], keyword: str, value: Any) -> list[Dataset]:
    """Return the instances with one attribute of the last replaced, or taken out, whatever its VR allows."""
    tag = instances[-1][keyword].tag
    del instances[-1][keyword]
    if value is not None:
        instances[-1][tag] = DataElement(tag, "LO", "")
        instances[-1][tag]._value = value
    return instances


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
@pytest.mark.parametrize("make", [lambda: ct_study(slices=3), lambda: [enhanced(ct_study(slices=3))]])
def test_no_attribute_however_wrong_ends_in_anything_but_voxels_or_a_reason(make: Callable[[], list[Dataset]]) -> None:
    keywords = [element.keyword for element in make()[-1]]
    reasons = []
    for keyword, value in itertools.product(keywords, GARBAGE):
        try:
            read_volume(with_garbage(make(), keyword, value))
        except StudyRefused as refusal:
            reasons.append(str(refusal))
    assert len(reasons) > 60
    assert all("expected" in reason for reason in reasons)
