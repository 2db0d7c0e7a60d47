"""Frames that lie uncompressed in a data set are read in place, and are what pydicom decodes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import iter_pixels

from node.imaging.native import NativeFrames, native_frames
from node.imaging.rescale import Rescale
from node.imaging.volume import Unit


def dataset_of(encoded: bytes, *, bits: int, stored_bits: int, sign: int, shape: tuple[int, int, int]) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, stored_bits, stored_bits - 1
    dataset.PixelRepresentation = sign
    dataset.PixelData = encoded
    dataset["PixelData"].VR = "OW"
    return dataset


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    bits = draw(st.sampled_from((8, 16)))
    shape = draw(st.tuples(*[st.integers(1, 4)] * 3))
    size = int(np.prod(shape)) * bits // 8
    encoded = draw(st.binary(min_size=size, max_size=size)) + b"\0" * (size % 2)
    stored_bits, sign = draw(st.integers(2, bits)), draw(st.integers(0, 1))
    return dataset_of(encoded, bits=bits, stored_bits=stored_bits, sign=sign, shape=shape)


def all_of(frames: NativeFrames) -> NDArray[Any]:
    return np.stack([frames.frame(index) for index in range(frames.count)])


@given(datasets())
def test_every_frame_is_what_pydicom_decodes(dataset: Dataset) -> None:
    frames = native_frames(dataset)
    assert frames is not None
    np.testing.assert_array_equal(all_of(frames), np.stack(list(iter_pixels(dataset))))


@given(dataset=datasets(), is_in_file=st.booleans())
def test_a_frame_of_words_is_read_to_where_it_is_wanted(
    dataset: Dataset, is_in_file: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    frames = native_frames(dataset)
    assert frames is not None
    if is_in_file:
        frames = replace(frames, source=(str(file_of(dataset.PixelData, tmp_path_factory)), 3))
    for index, expected in enumerate(iter_pixels(dataset)):
        room = np.full(frames.shape, 7, np.int16)
        found = frames.frame_into(index, room)
        if dataset.BitsAllocated == 8:
            assert found is None
            continue
        assert found is not None
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(room.view(found.dtype), expected)


def file_of(encoded: bytes, folders: pytest.TempPathFactory) -> Path:
    path = folders.mktemp("pixels") / "pixels"
    path.write_bytes(b"abc" + encoded)
    return path


def test_no_frame_is_read_from_a_file_cut_short_or_to_a_place_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "pixels"
    path.write_bytes(bytes(31))
    frames = NativeFrames((str(path), 0), 1, (4, 4), np.dtype("<u2"), 0)
    assert frames.frame_into(0, np.zeros((4, 4), np.int16)) is None
    path.write_bytes(bytes(32))
    assert frames.frame_into(0, np.zeros((4, 4), np.int16)) is not None
    assert frames.frame_into(0, np.zeros((2, 8), np.int16)) is None


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("SamplesPerPixel", 3),
        ("BitsAllocated", 32),
        ("Rows", 5),
        ("Rows", 3),
        ("Rows", None),
        ("PixelRepresentation", 2),
    ],
)
def test_what_needs_a_closer_look_is_left_to_pydicom(keyword: str, value: int | None) -> None:
    dataset = dataset_of(bytes(2 * 4 * 4), bits=16, stored_bits=12, sign=0, shape=(1, 4, 4))
    assert native_frames(dataset) is not None
    setattr(dataset, keyword, value)
    assert native_frames(dataset) is None


@pytest.mark.parametrize("syntax", [uid.ExplicitVRBigEndian, uid.RLELossless, uid.DeflatedExplicitVRLittleEndian])
def test_pixels_in_another_transfer_syntax_are_left_to_pydicom(syntax: uid.UID) -> None:
    dataset = dataset_of(bytes(2 * 4 * 4), bits=16, stored_bits=12, sign=0, shape=(1, 4, 4))
    dataset.file_meta.TransferSyntaxUID = syntax
    assert native_frames(dataset) is None


def test_real_instances_have_the_frames_that_pydicom_decodes(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "data" / "dicom_misc").glob("CT*.dcm")):
        dataset = dcmread(path)
        if "PixelData" in dataset and (frames := native_frames(dataset)) is not None:
            np.testing.assert_array_equal(all_of(frames), np.stack(list(iter_pixels(dataset))))
            compared += 1
    assert compared >= 3


@given(
    st.lists(st.integers(-32768, 65535), min_size=1, max_size=20),
    st.sampled_from((1.0, 2.0, -1.0, -3.0, 0.5, 70000.0)),
    st.sampled_from((0.0, -1024.0, -8192.0, 70000.0, 0.25)),
)
def test_values_are_those_of_real_arithmetic_whatever_the_type(
    stored: list[int], slope: float, intercept: float
) -> None:
    dtype = np.uint16 if min(stored) >= 0 else np.int32
    values = Rescale(slope, intercept, Unit.STORED).apply(np.array(stored, dtype))
    assert values.tolist() == [slope * number + intercept for number in stored]
