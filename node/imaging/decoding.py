"""Pixel data of one frame, whatever its transfer syntax, as stored values."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.pixels.utils import iter_pixels

from node.errors import PixelsRefused
from node.imaging.alike import once_if_alike
from node.imaging.attributes import NumberReader
from node.imaging.jpeg_extended import decode_deep_jpeg, is_deep_jpeg
from node.imaging.native import native_frames
from node.imaging.unlocked import CAREFUL_PLUGINS, decode_unlocked, is_unlocked
from node.plain_values import read_value

# What pydicom and its decoders raise on headers and streams that cannot be decoded.
UNDECODABLE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    BytesLengthException,
    struct.error,
)


def decode_frame(dataset: Dataset) -> NDArray[Any]:
    """Return stored values of the only frame as (rows, columns) or, in colour, (rows, columns, 3) RGB.

    Raises PixelsRefused when there are none or they cannot be decoded.
    """
    return next(decode_frames(dataset, (0,)))


def decode_frames(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Yield stored values of the frames with these indices, counted from 0, one at a time.

    Bits beyond BitsStored are gone and the sign is extended. Raises PixelsRefused like `decode_frame`.
    """
    check_depth(dataset)
    try:
        for stored in _decoded(dataset, indices):
            _check_size(dataset, stored)
            yield stored
    except UNDECODABLE as error:
        syntax = uid.UID(str(getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID", "")))
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PixelsRefused(
            f"PixelData: cannot be decoded ({reason}), expected {dataset.Rows} by "
            f"{dataset.Columns} pixels in {syntax.name or 'a stated transfer syntax'}; send the image again, "
            "uncompressed if need be"
        ) from error


@once_if_alike("BitsAllocated", "BitsStored", "HighBit")
def check_depth(dataset: Dataset) -> None:
    """Refuse bits whose place in the stored word is not the only one DICOM allows (PS3.5 8.1.1)."""
    numbers = NumberReader(dataset, PixelsRefused)
    allocated, stored, high = (numbers.whole(word) for word in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in (8, 16, 32) or stored is None or not 1 < stored <= allocated:
        raise PixelsRefused(
            f"BitsStored: found {stored} of BitsAllocated {allocated}, expected 2 to 16 of 8 or 16; correct the "
            "header and send again"
        )
    if high is not None and high != stored - 1:
        raise PixelsRefused(
            f"HighBit: found {high}, expected {stored - 1} (BitsStored - 1); correct the header and send again"
        )


def _decoded(dataset: Dataset, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    if "PixelData" not in dataset:
        raise PixelsRefused(
            "PixelData: found none, expected the pixels of one frame; send the whole instance, not its header"
        )
    frames = native_frames(dataset)
    if frames is not None and max(indices) < frames.count:
        return map(frames.frame, indices)
    if is_deep_jpeg(dataset):
        return (decode_deep_jpeg(dataset, index) for index in indices)
    if is_unlocked(dataset):
        return (_decode_unlocked(dataset, index) for index in indices)
    return iter_pixels(dataset, indices=list(indices))


def _decode_unlocked(dataset: Dataset, index: int) -> NDArray[Any]:
    try:
        return decode_unlocked(dataset, index)
    except UNDECODABLE:
        plugin = CAREFUL_PLUGINS[dataset.file_meta.TransferSyntaxUID]
        return next(iter_pixels(dataset, indices=[index], decoding_plugin=plugin))


def _check_size(dataset: Dataset, stored: NDArray[Any]) -> None:
    if stored.shape[:2] != (read_value(dataset, "Rows"), read_value(dataset, "Columns")):
        raise PixelsRefused(
            f"PixelData: found {' by '.join(map(str, stored.shape))} values, expected {dataset.Rows} by "
            f"{dataset.Columns}; send the image again, uncompressed if need be"
        )
