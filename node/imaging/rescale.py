"""The line from stored values to HU or the header's own unit, and what the scanner did not see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader, words
from node.imaging.volume import Unit
from node.vocabulary import Mask

Values = NDArray[np.float64] | NDArray[np.int16]

_INT16 = np.iinfo(np.int16)

# No tissue and no noise has such a number: it is what makers put outside the reconstructed circle (-2000,
# -3024 and others, often without PixelPaddingValue), give or take what lossy compression does to it.
FILLER_HU = -1500.0

NOT_HOUNSFIELD = frozenset({"LOCALIZER"})  # ImageType value 3: a projection, whose numbers have no scale


@dataclass(frozen=True)
class Rescale:
    """Slope and intercept of one slice, and what the result means."""

    slope: float
    intercept: float
    unit: Unit

    @property
    def is_whole(self) -> bool:
        """Say whether whole stored values stay whole."""
        return self.slope.is_integer() and self.intercept.is_integer()

    def apply(self, stored: NDArray[np.integer]) -> Values:
        """Return the values of one slice, in an array of its own: as int16 where all are whole and fit."""
        if self.is_whole and self._fits_int16(int(stored.min()), int(stored.max())):
            return self._apply_int16(stored)
        return np.asarray(stored * np.float64(self.slope) + self.intercept)

    def _fits_int16(self, low: int, high: int) -> bool:
        ends = [int(self.slope) * end + int(self.intercept) for end in (low, high)]
        return _INT16.min <= min(ends) and max(ends) <= _INT16.max

    def _apply_int16(self, stored: NDArray[np.integer]) -> NDArray[np.int16]:
        """Compute modulo 65536 all along, which is right in the end because the values fit."""
        values = stored.astype(np.int16)
        for step, number in ((np.multiply, int(self.slope)), (np.add, int(self.intercept))):
            step(values, np.array(number & 0xFFFF, np.uint16).view(np.int16), out=values)
        return values


def read_rescale(header: Dataset) -> Rescale:
    """Return the slice's own line (PS3.3 C.11.1); CT without a RescaleType is in HU (C.8.2.1.1).

    Raises PixelsRefused when a CT states none, or a header half of one.
    """
    line = slope_and_intercept(header)
    if "ModalityLUTSequence" in header:
        raise PixelsRefused(
            "ModalityLUTSequence: found a table, expected RescaleSlope and RescaleIntercept; have the modality "
            "send the series with a linear rescale"
        )
    if line is None and header.get("Modality") == "CT":
        raise PixelsRefused(
            "RescaleSlope: found none in a CT, expected slope and intercept to HU; have the modality send them"
        )
    slope, intercept = line or (1.0, 0.0)
    return Rescale(slope, intercept, _unit(header))


def slope_and_intercept(header: Dataset) -> tuple[float, float] | None:
    """Return RescaleSlope and RescaleIntercept, or None without both; raises PixelsRefused for one alone."""
    numbers = NumberReader(header, PixelsRefused)
    slope, intercept = numbers.first("RescaleSlope"), numbers.first("RescaleIntercept")
    if slope is None and intercept is None:
        return None
    if not slope or intercept is None:
        raise PixelsRefused(
            f"RescaleSlope: found {slope} with RescaleIntercept {intercept}, expected both and a slope that is "
            "not 0; correct the header and send again"
        )
    return slope, intercept


def filler_mask(values: Values, unit: Unit) -> Mask:
    """Return where a slice in HU holds what no scanner can have seen, as outside the field of view."""
    return np.asarray(values <= FILLER_HU) if unit is Unit.HOUNSFIELD else np.zeros(values.shape, np.bool_)


def _unit(header: Dataset) -> Unit:
    kinds = words(header, "FrameType") or words(header, "ImageType")
    stated = str(header.get("RescaleType") or "HU").strip().upper()
    if header.get("Modality") != "CT" or stated != "HU" or NOT_HOUNSFIELD & set(kinds):
        return Unit.STORED
    return Unit.HOUNSFIELD
