"""Lookup tables of a header: the Modality LUT and VOI LUT sequences (PS3.3 C.11.1, C.11.2)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader

ENTRY_BITS = range(8, 17)


@dataclass(frozen=True)
class LookupTable:
    """Entries that replace the values from `first_mapped` on; values outside take the end entries."""

    entries: NDArray[np.int64]
    first_mapped: int
    bits: int

    def apply(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the entry of each value, in 0..2**bits - 1."""
        places = np.rint(values).astype(np.int64) - self.first_mapped
        return self.entries[np.clip(places, 0, len(self.entries) - 1)].astype(np.float64)


def first_table(dataset: Dataset, keyword: str) -> LookupTable | None:
    """Return the first table of `ModalityLUTSequence` or `VOILUTSequence`, or None without one.

    Raises PixelsRefused when LUTDescriptor and LUTData do not fit each other.
    """
    items = dataset.get(keyword)
    if not items:
        return None
    descriptor = NumberReader(items[0], PixelsRefused).all("LUTDescriptor")
    if len(descriptor) != 3 or int(descriptor[2]) not in ENTRY_BITS:
        raise PixelsRefused(
            f"{keyword}: LUTDescriptor is {list(descriptor)}, expected the number of entries, the first value "
            "mapped and 8 to 16 bits; correct the header and send again"
        )
    # 65536 entries do not fit 16 bits and are written as 0; a signed reader sees 32768 to 65535 as negative.
    count = int(descriptor[0]) % 65536 or 65536
    bits = int(descriptor[2])
    entries = _entries(items[0], bits, count, _byte_order(dataset))
    if len(entries) < count:
        raise PixelsRefused(
            f"{keyword}: LUTData has {len(entries)} entries, expected {count} as in LUTDescriptor; correct the "
            "header and send again"
        )
    return LookupTable(entries[:count] & (2**bits - 1), int(descriptor[1]), bits)


def _byte_order(dataset: Dataset) -> str:
    syntax = dataset.file_meta.TransferSyntaxUID
    return ">" if syntax == ExplicitVRBigEndian else "<"


def _entries(item: Dataset, bits: int, count: int, order: str) -> NDArray[np.int64]:
    """Return LUTData as numbers, whether stored as US, as OW words, or as OW with two entries in a word."""
    data = item.get("LUTData")
    if not isinstance(data, bytes):
        words = np.atleast_1d(np.asarray(() if data is None else data, np.int64)) & 0xFFFF
        data = words.astype(f"{order}u2").tobytes()
    if bits == 8 and len(data) in (count, count + 1):
        # PS3.3 C.11.1.1: the first of two entries in a word is its low byte.
        packed = np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype("<u2")
        return packed.view(np.uint8).astype(np.int64)
    return np.frombuffer(data[: len(data) // 2 * 2], f"{order}u2").astype(np.int64)
