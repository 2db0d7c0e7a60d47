"""RLE and JPEG-LS decoded by threads have the values of pydicom, and what is spoiled is refused as pydicom does."""

from __future__ import annotations

import itertools
import random
import struct
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.utils import iter_pixels
from volumes import ct_study, enhanced

from node.errors import PixelsRefused
from node.imaging.decoding import UNDECODABLE, decode_frame
from node.imaging.frames import decode_slices
from node.imaging.series import read_volume
from node.imaging.slices import slices_of
from node.imaging.unlocked import decode_unlocked, is_unlocked

SYNTAXES = (uid.RLELossless, uid.JPEGLSLossless, uid.JPEGLSNearLossless)
# The plugins of pydicom that keep within the stream, whatever is in it; GDCM ends the process now and then.
SAFE_PLUGINS = {uid.RLELossless: "pydicom", uid.JPEGLSLossless: "pyjpegls"}
SHAPE = (40, 50)


def picture(low: int, high: int, dtype: Any, seed: int = 5) -> NDArray[Any]:
    """Return a slope with noise, and a corner of each extreme."""
    rng = np.random.default_rng(seed)
    slope = np.linspace(low, high, SHAPE[1])[np.newaxis] + rng.normal(0, (high - low) / 50, SHAPE)
    values = np.clip(slope, low, high).astype(dtype)
    values[:8, :8], values[-8:, -8:] = low, high
    return values


def compressed(dataset: Dataset, syntax: uid.UID, **options: Any) -> Dataset:
    dataset.compress(syntax, generate_instance_uid=False, **options)
    return dataset


def made(values: NDArray[Any], stored: int, syntax: uid.UID) -> Dataset:
    """Return one slice of these stored values, in so many bits, compressed."""
    (dataset,) = ct_study(slices=1, shape=SHAPE)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = values.itemsize * 8, stored, stored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    options = {"jls_error": 2} if syntax == uid.JPEGLSNearLossless else {}
    return compressed(dataset, syntax, **options)


def with_stream(dataset: Dataset, stream: bytes) -> Dataset:
    dataset.PixelData = encapsulate([stream])
    return dataset


def stream_of(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


STORED = [
    (np.uint8, 8, 0, 255),
    (np.uint8, 5, 0, 31),
    (np.uint16, 16, 0, 65535),
    (np.uint16, 12, 0, 4095),
    (np.uint16, 9, 0, 511),
    (np.int16, 16, -32768, 32767),
    (np.int16, 12, -2048, 2047),
    (np.int8, 8, -128, 127),
]


@pytest.mark.parametrize(
    ("syntax", "dtype", "stored", "low", "high"),
    [
        (syntax, *kind)
        for syntax, kind in itertools.product(SYNTAXES, STORED)
        if syntax != uid.JPEGLSNearLossless or kind[2] == 0  # pydicom encodes no signed values with loss
    ],
)
def test_stored_values_are_those_of_pydicom(syntax: uid.UID, dtype: Any, stored: int, low: int, high: int) -> None:
    dataset = made(picture(low, high, dtype), stored, syntax)
    assert is_unlocked(dataset)
    ours, theirs = decode_unlocked(dataset, 0), next(iter_pixels(dataset, indices=[0]))
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype
    if syntax != uid.JPEGLSNearLossless:
        np.testing.assert_array_equal(ours, picture(low, high, dtype))


def rle(values: NDArray[Any]) -> bytes:
    """Return a frame in RLE that repeats nothing: a segment for each byte of a sample, the highest first."""
    planes = values.astype(values.dtype.newbyteorder(">")).view(np.uint8).reshape(-1, values.itemsize).T
    runs = [[bytes([len(run) - 1]) + run.tobytes() for run in np.array_split(plane, 20)] for plane in planes]
    segments = [b"".join(run) for run in runs]
    offsets = [64, *(64 + np.cumsum([len(segment) for segment in segments[:-1]])).tolist()]
    return struct.pack("<16L", len(offsets), *offsets, *[0] * (15 - len(offsets))) + b"".join(segments)


@pytest.mark.parametrize(("dtype", "stored"), [(np.uint16, 8), (np.uint32, 32)])
def test_rle_that_pydicom_writes_for_no_one_has_its_values_too(dtype: Any, stored: int) -> None:
    dataset = made(picture(0, 4095, np.uint16), 12, uid.RLELossless)
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = np.dtype(dtype).itemsize * 8, stored, stored - 1
    values = picture(0, 2**stored - 1, dtype)
    with_stream(dataset, rle(values))
    np.testing.assert_array_equal(decode_unlocked(dataset, 0), values)
    np.testing.assert_array_equal(next(iter_pixels(dataset, indices=[0])), values)


def test_colour_and_other_syntaxes_are_left_to_pydicom() -> None:
    grey = made(picture(0, 4095, np.uint16), 12, uid.RLELossless)
    assert is_unlocked(grey)
    grey.SamplesPerPixel = 3
    assert not is_unlocked(grey)
    assert not is_unlocked(ct_study(slices=1)[0])
    assert not is_unlocked(made(picture(0, 4095, np.uint16), 12, uid.JPEG2000Lossless))


def spoiled(stream: bytes, rng: random.Random) -> bytes:
    """Return a stream with bytes changed, mostly of its head, taken out or put in, or cut short."""
    changed = bytearray(stream)
    match rng.randrange(6):
        case 0:
            del changed[rng.randrange(2, len(changed)) :]
        case 1:
            start = rng.randrange(len(changed))
            del changed[start : start + rng.choice((1, 2, 50))]
        case 2:
            start = rng.randrange(len(changed))
            changed[start:start] = rng.randbytes(rng.choice((1, 2, 16)))
        case kind:
            reach = len(changed) if kind == 3 else 80
            for _ in range(rng.choice((1, 2, 5))):
                changed[rng.randrange(reach)] = rng.choice((0, 1, 127, 128, 254, 255, rng.randrange(256)))
    return bytes(changed)


def outcome_of(decode: Any) -> NDArray[Any] | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of RLE with more values than pixels
        try:
            return np.asarray(decode())
        except (*UNDECODABLE, PixelsRefused):
            return None


@pytest.mark.parametrize("syntax", SAFE_PLUGINS)
def test_a_spoiled_stream_gives_what_it_gives_pydicom_or_an_error(syntax: uid.UID) -> None:
    rng = random.Random(11)
    dataset = made(picture(0, 4095, np.uint16), 12, syntax)
    sound, refused, decoded = stream_of(dataset), 0, 0
    for _ in range(600):
        with_stream(dataset, spoiled(sound, rng))
        ours = outcome_of(lambda: decode_unlocked(dataset, 0))
        refused += ours is None
        if ours is not None:
            theirs = outcome_of(lambda: next(iter_pixels(dataset, indices=[0], decoding_plugin=SAFE_PLUGINS[syntax])))
            assert theirs is not None
            np.testing.assert_array_equal(ours, theirs)
            decoded += 1
    assert refused > 100
    assert decoded


def test_offsets_outside_of_the_frame_never_reach_the_decoder() -> None:
    dataset = made(picture(0, 4095, np.uint16), 12, uid.RLELossless)
    sound = stream_of(dataset)
    second = struct.unpack_from("<3L", sound)[2]
    for count, *offsets in [
        (2, 64, 64),
        (2, 64, len(sound)),
        (2, 64, 0xF0000000),
        (2, second, 64),
        (2, 0, second),
        (1, 64, 0),
        (4, 64, second),
        (0xFFFFFFFF, 64, second),
    ]:
        with_stream(dataset, struct.pack("<3L", count, *offsets) + sound[12:])
        with pytest.raises(RuntimeError, match="imagecodecs: found segments of RLE at"):
            decode_unlocked(dataset, 0)
        with pytest.raises(PixelsRefused, match="cannot be decoded"):
            decode_frame(dataset)


def test_a_stream_of_other_rows_and_columns_is_refused_before_it_is_decoded() -> None:
    for syntax in SAFE_PLUGINS:
        dataset = made(picture(0, 4095, np.uint16), 12, syntax)
        dataset.Rows = 41
        with pytest.raises(RuntimeError, match="imagecodecs: "):
            decode_unlocked(dataset, 0)
        with pytest.raises(PixelsRefused, match="cannot be decoded"):
            decode_frame(dataset)


def test_rle_with_more_values_than_pixels_is_read_as_pydicom_does() -> None:
    dataset = made(picture(0, 255, np.uint8), 8, uid.RLELossless)
    with_stream(dataset, stream_of(dataset) + b"\x03\x09\x09\x09\x09")
    with pytest.warns(UserWarning, match="non-conformant padding"):
        stored = decode_frame(dataset)
    np.testing.assert_array_equal(stored, picture(0, 255, np.uint8))


@pytest.mark.parametrize("missing", [1, 2, 3, 500])
def test_jpeg_ls_that_is_cut_short_is_refused_by_name(missing: int) -> None:
    dataset = made(picture(0, 4095, np.uint16), 12, uid.JPEGLSLossless)
    with_stream(dataset, stream_of(dataset).rstrip(b"\0")[:-missing])
    with pytest.raises(PixelsRefused, match="frame 1 is a JPEG-LS stream without an end"):
        decode_frame(dataset)


def series(syntax: uid.UID, slices: int = 20) -> list[Dataset]:
    """Return a series of which each slice looks different."""
    hu = np.stack([picture(0, 1000, np.int16, seed) + 10 * seed for seed in range(slices)])
    return [compressed(dataset, syntax) for dataset in ct_study(slices=slices, shape=SHAPE, hu=hu)]


def joined(instances: Sequence[Dataset], syntax: uid.UID) -> Dataset:
    """Return one enhanced instance of these, compressed."""
    return compressed(enhanced(instances), syntax)


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
@pytest.mark.parametrize("syntax", SAFE_PLUGINS)
def test_a_volume_is_the_same_by_however_many_threads(syntax: uid.UID, threads: int) -> None:
    plain = ct_study(slices=20, shape=SHAPE, hu=np.stack([picture(0, 1000, np.int16, k) + 10 * k for k in range(20)]))
    expected = read_volume(plain)
    read = read_volume(list(reversed(series(syntax))), threads=threads)
    np.testing.assert_array_equal(read.voxels, expected.voxels)
    of_frames = read_volume([joined(plain, syntax)], threads=threads)
    np.testing.assert_array_equal(of_frames.voxels, expected.voxels)


def test_a_series_of_several_transfer_syntaxes_is_read_too() -> None:
    mixed = series(uid.RLELossless)[::2] + series(uid.JPEG2000Lossless)[1::2]
    np.testing.assert_array_equal(read_volume(mixed).voxels, read_volume(series(uid.RLELossless)).voxels)


@pytest.mark.parametrize("spoiled_at", [0, 7, 19])
def test_one_slice_that_cannot_be_decoded_refuses_the_volume(spoiled_at: int) -> None:
    instances = series(uid.RLELossless)
    with_stream(instances[spoiled_at], stream_of(instances[spoiled_at])[:-200])
    with pytest.raises(PixelsRefused, match="cannot be decoded"):
        read_volume(instances, threads=3)
    assert not decoders()


def test_a_number_of_samples_that_cannot_be_read_refuses_the_volume() -> None:
    instances = series(uid.RLELossless)
    tag = instances[3]["SamplesPerPixel"].tag
    instances[3][tag] = RawDataElement(tag, "US", 3, b"\1\0\0", 0, False, True)
    with pytest.raises(PixelsRefused, match="cannot be decoded"):
        read_volume(instances)


def decoders() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("decoder")]


def is_in_memory(dataset: Dataset) -> bool:
    """Tell whether the pixel data were read from their file."""
    return dataset.get_item("PixelData", keep_deferred=True).value is not None


def test_threads_decode_a_few_slices_ahead_and_no_more(tmp_path: Path) -> None:
    for number, dataset in enumerate(series(uid.RLELossless)):
        dataset.save_as(tmp_path / f"{number:02}.dcm", enforce_file_format=True)
    instances = [pydicom.dcmread(path, defer_size=1000) for path in sorted(tmp_path.iterdir())]
    frames = decode_slices(slices_of(instances), threads=2)
    next(frames)
    assert len(decoders()) in (1, 2)
    for taken in itertools.count(1):
        assert sum(map(is_in_memory, instances)) <= taken + 2
        if next(frames, None) is None:
            break
    assert taken == 20
    assert not decoders()


def test_one_thread_decodes_where_the_site_says_so() -> None:
    frames = decode_slices(slices_of(series(uid.RLELossless)), threads=1)
    next(frames)
    assert not decoders()
