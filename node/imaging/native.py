"""Native pixel data (PS3.5 8.1.2): grey frames that lie uncompressed in the data set, or in its file yet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from node.imaging.alike import once_if_alike
from node.plain_values import read_values, transfer_syntax_of

_LITTLE_ENDIAN = frozenset({uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian})
_BITS_ALLOCATED = (8, 16)
_DESCRIPTION = (
    "BitsAllocated",
    "BitsStored",
    "Columns",
    "NumberOfFrames",
    "PixelRepresentation",
    "Rows",
    "SamplesPerPixel",
)


class _Layout(NamedTuple):
    """How frames are written: `shape` is (frames, rows, columns)."""

    shape: tuple[int, int, int]
    words: np.dtype[Any]
    spare_bits: int


@dataclass(frozen=True)
class NativeFrames:
    """Grey frames of `shape` (rows, columns), one behind the other in `source`: bytes, or a file from an offset on."""

    source: bytes | tuple[str, int]
    count: int
    shape: tuple[int, int]
    words: np.dtype[Any]
    spare_bits: int

    def frame(self, index: int) -> NDArray[Any]:
        """Return the stored values of a frame, counted from 0.

        It copies nothing where the bytes are there and every stored bit counts. Bits beyond BitsStored are gone
        and the sign is extended.
        """
        rows, columns = self.shape
        stored = np.frombuffer(self._encoded(index), self.words, rows * columns).reshape(self.shape)
        return _without_spare_bits(stored, self.spare_bits)

    def frame_into(self, index: int, room: NDArray[np.int16]) -> NDArray[Any] | None:
        """Return a frame as `frame` does, read into a place of (rows, columns); None for bytes, or a file cut short."""
        if self.words.itemsize != room.itemsize or self.shape != room.shape:
            return None
        stored = room.view(self.words)
        if isinstance(self.source, bytes):
            stored[...] = self.frame(index)
            return stored
        path, offset = self.source
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.preadv(descriptor, [stored.data], offset + index * stored.nbytes) < stored.nbytes:
                return None
        finally:
            os.close(descriptor)
        return _without_spare_bits(stored, self.spare_bits, out=stored)

    def _encoded(self, index: int) -> bytes | memoryview:
        frame_bytes = self.shape[0] * self.shape[1] * self.words.itemsize
        if isinstance(self.source, bytes):
            return memoryview(self.source)[index * frame_bytes :]
        path, offset = self.source
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, frame_bytes, offset + index * frame_bytes)
        finally:
            os.close(descriptor)


def native_frames(dataset: Dataset) -> NativeFrames | None:
    """Return where the frames lie, or None for what needs a decoder or a closer look."""
    if transfer_syntax_of(dataset) not in _LITTLE_ENDIAN:
        return None
    layout, found = _read_layout(dataset), _source(dataset)
    if layout is None or found is None:
        return None
    source, length = found
    count, rows, columns = layout.shape
    if not 0 <= length - count * rows * columns * layout.words.itemsize <= 1:  # a byte of padding makes the length even
        return None
    return NativeFrames(source, count, (rows, columns), layout.words, layout.spare_bits)


@once_if_alike(*_DESCRIPTION)
def _read_layout(dataset: Dataset) -> _Layout | None:
    stated = read_values(dataset, _DESCRIPTION)
    if stated.get("SamplesPerPixel") != 1:
        return None
    bits, sign, stored_bits = (stated.get(word) for word in ("BitsAllocated", "PixelRepresentation", "BitsStored"))
    shape = _shape(stated)
    if bits not in _BITS_ALLOCATED or sign not in (0, 1) or not isinstance(stored_bits, int) or shape is None:
        return None
    return _Layout(shape, np.dtype(f"<{'i' if sign else 'u'}{bits // 8}"), bits - stored_bits)


def _source(dataset: Dataset) -> tuple[bytes | tuple[str, int], int] | None:
    """Return the pixel data, or where in a file they still are, and their length in bytes."""
    element: object = dataset.get_item("PixelData", keep_deferred=True)
    path = getattr(dataset, "filename", None)
    if element is None:
        return None
    if isinstance(element, RawDataElement) and element.value is None and path:
        return (str(path), element.value_tell), element.length
    encoded = dataset["PixelData"].value
    return (encoded, len(encoded)) if isinstance(encoded, bytes) else None


def _shape(stated: Mapping[str, Any]) -> tuple[int, int, int] | None:
    frames = stated.get("NumberOfFrames")
    values = (1 if frames is None else frames, stated.get("Rows"), stated.get("Columns"))
    count, rows, columns = (int(number) if isinstance(number, int | str) and number else 0 for number in values)
    return (count, rows, columns) if min(count, rows, columns) > 0 else None


def _without_spare_bits(stored: NDArray[Any], spare_bits: int, out: NDArray[Any] | None = None) -> NDArray[Any]:
    """Shift the bits that do not count out at the top; shifted back, a signed value keeps its sign."""
    return np.right_shift(np.left_shift(stored, spare_bits, out=out), spare_bits, out=out) if spare_bits else stored
