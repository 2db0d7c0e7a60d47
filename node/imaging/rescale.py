"""The line from stored values to HU or the header's own unit, and what of HU the scanner cannot have seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader, words
from node.imaging.volume import Unit
from node.plain_values import read_text, read_value

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
        if self.fits_int16(*self.ends(stored)):
            values = np.empty(stored.shape, np.int16)
            self.write_int16(stored, values)
            return values
        return np.asarray(stored * np.float64(self.slope) + self.intercept)

    def ends(self, stored: NDArray[np.integer]) -> tuple[float, float]:
        """Return the lowest and the highest value of a slice."""
        ends = [int(end) * self.slope + self.intercept for end in (stored.min(), stored.max())]
        return min(ends), max(ends)

    def fits_int16(self, low: float, high: float) -> bool:
        """Tell whether all values between two ends are whole numbers of 16 bits."""
        return self.is_whole and _INT16.min <= low and high <= _INT16.max

    def write_int16(self, stored: NDArray[np.integer], out: NDArray[np.int16]) -> None:
        """Compute modulo 65536 all along, which is right in the end because the values fit."""
        words = stored.view(np.int16) if stored.dtype == np.uint16 else stored.astype(np.int16, copy=False)
        if self.slope != 1:
            words = np.multiply(words, _modulo(self.slope), out=out)
        np.add(words, _modulo(self.intercept), out=out)


def _modulo(number: float) -> NDArray[np.int16]:
    return np.array(int(number) & 0xFFFF, np.uint16).view(np.int16)


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
    if line is None and read_value(header, "Modality") == "CT":
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


def _unit(header: Dataset) -> Unit:
    kinds = words(header, "FrameType") or words(header, "ImageType")
    stated = (read_text(header, "RescaleType") or "HU").strip().upper()
    if read_value(header, "Modality") != "CT" or stated != "HU" or NOT_HOUNSFIELD & set(kinds):
        return Unit.STORED
    return Unit.HOUNSFIELD
