"""What came of a turn, in numbers and checksums that show whether the ways agree."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.bench.cost import Facts


def volume_facts(voxels: NDArray[Any]) -> Facts:
    """Return how many voxels a volume has, and a checksum of their HU."""
    return {"voxels": voxels.size, "checksum": f"{zlib.crc32(voxels.astype(np.int16).tobytes()):08x}"}


def segmentation_facts(file: bytes) -> Facts:
    """Return frames, sizes and the checksum of the pixels of a SEG."""
    encoded = dcmread(BytesIO(file))
    return {
        "frames": int(encoded.NumberOfFrames),
        "file_mb": len(file) / 1e6,
        "deflated_mb": len(zlib.compress(file, 6)) / 1e6,
        "pixel_checksum": _checksum(encoded),
    }


def study_facts(files: Sequence[bytes]) -> Facts:
    """Return how many objects were made of a study, and how long they are together."""
    return {"objects": len(files), "objects_mb": sum(map(len, files)) / 1e6}


def _checksum(encoded: Dataset) -> str:
    """Return a checksum of the pixel data with the frames in one order; each library has its own."""
    places = [
        (
            int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber),
            float(groups.PlanePositionSequence[0].ImagePositionPatient[2]),
        )
        for groups in encoded.PerFrameFunctionalGroupsSequence
    ]
    order = sorted(range(len(places)), key=lambda number: places[number])
    return f"{zlib.crc32(np.packbits(encoded.pixel_array[order]).tobytes()):08x}"
