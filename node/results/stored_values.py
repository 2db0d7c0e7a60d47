"""How numbers become the 16-bit pixels of an image, and what line leads back to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.valuerep import format_number_as_ds

from node.vocabulary import Pixels

_INT16 = np.iinfo(np.int16)
FINEST_STEP = 1e-30  # of values that are all the same
STEPS = 65_000  # a little fewer than 16 bits have, as the line is rounded to 16 characters


@dataclass(frozen=True)
class StoredScale:
    """The line of RescaleSlope and RescaleIntercept, as the decimal strings that a header holds."""

    slope: str = "1"
    intercept: str = "0"

    @property
    def is_identity(self) -> bool:
        """Say whether pixels are the numbers themselves, so that no line needs stating."""
        return (self.slope, self.intercept) == ("1", "0")

    def store(self, values: Pixels) -> NDArray[np.int16]:
        """Return the pixels whose values on the line are nearest."""
        stored = np.rint((values.astype(np.float64) - float(self.intercept)) / float(self.slope))
        return np.clip(stored, _INT16.min, _INT16.max).astype(np.int16)


def choose_scale(values: Pixels, *, are_whole: bool) -> StoredScale:
    """Return the line for these values: none where whole numbers are fine enough and fit 16 bits."""
    low, high = float(values.min()), float(values.max())
    if are_whole and _INT16.min <= round(low) and round(high) <= _INT16.max:
        return StoredScale()
    slope = max((high - low) / STEPS, FINEST_STEP)
    return StoredScale(format_number_as_ds(slope), format_number_as_ds((low + high) / 2))
