"""The pixel budget: what headers announce is counted before anything is decoded."""

from __future__ import annotations

import math

from pydicom.dataset import Dataset

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader

_FACTORS = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames")


class PixelBudget:
    """How many samples the instances of one job may have, all together."""

    def __init__(self, most_samples: int) -> None:
        """Allow so many samples."""
        self._most = most_samples
        self._spent = 0

    def spend(self, dataset: Dataset) -> None:
        """Count Rows × Columns × SamplesPerPixel × NumberOfFrames of one more instance, each 1 where not stated.

        Raises PixelsRefused when there are more than allowed, or a factor is no whole number.
        """
        numbers = NumberReader(dataset, PixelsRefused)
        self._spent += math.prod(numbers.whole(keyword) or 1 for keyword in _FACTORS)
        if self._spent > self._most:
            raise PixelsRefused(
                f"PixelData: found {self._spent} samples by its header, expected at most {self._most} in a job; give "
                "the workers more memory (memory_mb), or send the images as the modality made them"
            )
