"""Native pixel data (PS3.5 8.1.2): grey frames that lie uncompressed in the data set, seen where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

_LITTLE_ENDIAN = frozenset({uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian})
_BITS_ALLOCATED = (8, 16)


def native_frames(dataset: Dataset) -> NDArray[Any] | None:
    """Return stored values as (frames, rows, columns), or None for what needs a decoder or a closer look.

    It copies nothing where every stored bit counts. Bits beyond BitsStored are gone and the sign is extended.
    """
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID")
    if syntax not in _LITTLE_ENDIAN or dataset.get("SamplesPerPixel") != 1:
        return None
    bits, sign = dataset.get("BitsAllocated"), dataset.get("PixelRepresentation")
    encoded = dataset["PixelData"].value
    shape = _shape(dataset)
    if bits not in _BITS_ALLOCATED or sign not in (0, 1) or shape is None or not isinstance(encoded, bytes):
        return None
    words = np.dtype(f"<{'i' if sign else 'u'}{bits // 8}")
    count = int(np.prod(shape, dtype=object))
    if not 0 <= len(encoded) - count * words.itemsize <= 1:  # a byte of padding makes the length even
        return None
    return _without_spare_bits(np.frombuffer(encoded, words, count).reshape(shape), bits - dataset.BitsStored)


def _shape(dataset: Dataset) -> tuple[int, int, int] | None:
    numbers = (dataset.get("NumberOfFrames", 1), dataset.get("Rows"), dataset.get("Columns"))
    frames, rows, columns = (int(number) if isinstance(number, int | str) and number else 0 for number in numbers)
    return (frames, rows, columns) if min(frames, rows, columns) > 0 else None


def _without_spare_bits(stored: NDArray[Any], spare_bits: int) -> NDArray[Any]:
    """Shift the bits that do not count out at the top; shifted back, a signed value keeps its sign."""
    return stored << spare_bits >> spare_bits if spare_bits else stored
