"""Stored values to displayed grey: modality LUT, VOI LUT and polarity, in the standard's order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader
from node.imaging.lookup import first_table
from node.imaging.rescale import slope_and_intercept
from node.vocabulary import Mask, Pixels

Stored = NDArray[np.integer]
Values = NDArray[np.float64]

# Without a VOI transformation the picture is stretched between these percentiles of what was seen.
ROBUST_PERCENTILES = (0.5, 99.5)

# Polarity is stated twice and must agree (PS3.3 C.8.11.3.1.2); viewers disagree on which one wins.
SHAPE_OF = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}


@dataclass(frozen=True)
class Window:
    """A VOI window and the function that turns it into grey (PS3.3 C.11.2.1)."""

    centre: float
    width: float
    function: str = "LINEAR"

    def apply(self, values: Values) -> Values:
        """Return the values as grey in 0..1."""
        if self.function == "SIGMOID":
            # Beyond this exponent the grey is 0 to the last bit of a float, and exp would overflow.
            exponent = np.minimum(-4 * (values - self.centre) / self.width, 700.0)
            return np.asarray(1 / (1 + np.exp(exponent)))
        if self.function == "LINEAR_EXACT":
            return _ramp(values, self.centre, self.width)
        return _ramp(values, self.centre - 0.5, self.width - 1)


def display_pixels(stored: Stored, padding: Mask, dataset: Dataset) -> Pixels:
    """Return stored MONOCHROME values as displayed: (rows, columns) in 0..1, 0 black, padding black.

    Raises PixelsRefused when the header's transformations cannot be followed.
    """
    inverted = _is_inverted(dataset)
    grey = _voi(rescaled(stored, dataset), padding, dataset)
    if inverted:
        grey = 1 - grey
    grey[padding] = 0
    return grey.astype(np.float32)


def padding_mask(stored: Stored, dataset: Dataset) -> Mask:
    """Return where stored values are PixelPaddingValue, or lie between it and PixelPaddingRangeLimit.

    Both are stored values, before any LUT (PS3.3 C.7.5.1.1.2). Where pixels are signed, a value that
    was written as unsigned counts as the signed one of the same bits.
    """
    numbers = NumberReader(dataset, PixelsRefused)
    value, limit = numbers.whole("PixelPaddingValue"), numbers.whole("PixelPaddingRangeLimit")
    if value is None:
        return np.zeros(stored.shape, np.bool_)
    ends = sorted(_as_stored(end, dataset) for end in (value, value if limit is None else limit))
    return np.asarray((stored >= ends[0]) & (stored <= ends[1]))


def _as_stored(number: int, dataset: Dataset) -> int:
    is_wrapped = dataset.PixelRepresentation == 1 and number >= 2 ** (dataset.BitsAllocated - 1)
    return number - 2**dataset.BitsAllocated if is_wrapped else number


def rescaled(stored: Stored, dataset: Dataset) -> Values:
    """Return the values after the Modality LUT module (PS3.3 C.11.1): a table, a line, or as they are."""
    values = stored.astype(np.float64)
    table = first_table(dataset, "ModalityLUTSequence")
    if table:
        return table.apply(values)
    line = slope_and_intercept(dataset)
    return values if line is None else np.asarray(values * line[0] + line[1])


def _voi(values: Values, padding: Mask, dataset: Dataset) -> Values:
    """Return grey in 0..1 by the first VOI LUT, else the first window, else the range of the picture."""
    table = first_table(dataset, "VOILUTSequence")
    if table:
        return np.asarray(table.apply(values) / (2**table.bits - 1))
    window = _first_window(dataset)
    if window:
        return window.apply(values)
    if _is_display_ready(dataset):
        return np.asarray(np.clip(values / 255, 0, 1))
    return _stretched(values, padding)


def _first_window(dataset: Dataset) -> Window | None:
    numbers = NumberReader(dataset, PixelsRefused)
    centre, width = numbers.first("WindowCenter"), numbers.first("WindowWidth")
    if centre is None and width is None:
        return None
    function = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        raise PixelsRefused(
            f"VOILUTFunction: found {function!r}, expected LINEAR, LINEAR_EXACT or SIGMOID; correct the header "
            "and send again"
        )
    if centre is None or width is None or not _is_usable_width(width, function):
        least = "at least 1" if function == "LINEAR" else "above 0"
        raise PixelsRefused(
            f"WindowWidth: found {width} with WindowCenter {centre}, expected both and a width {least} for "
            f"{function}; correct the header and send again"
        )
    return Window(centre, width, function)


def _is_usable_width(width: float, function: str) -> bool:
    return width >= 1 if function == "LINEAR" else width > 0


def _is_display_ready(dataset: Dataset) -> bool:
    """Say whether stored values without VOI are already grey levels of an 8-bit display."""
    transformed = {"ModalityLUTSequence", "RescaleSlope"} & set(dataset.dir())
    return dataset.BitsStored == 8 and dataset.PixelRepresentation == 0 and not transformed


def _stretched(values: Values, padding: Mask) -> Values:
    seen = values[~padding]
    if not seen.size or seen.min() == seen.max():
        raise PixelsRefused(
            "PixelData: found the same value everywhere, expected a picture; look at the image at the modality"
        )
    low, high = np.percentile(seen, ROBUST_PERCENTILES)
    if low == high:
        low, high = seen.min(), seen.max()
    return np.asarray(np.clip((values - low) / (high - low), 0, 1))


def _ramp(values: Values, middle: float, width: float) -> Values:
    """Return 0 up to the lower end of the window, 1 above the upper end, a line between."""
    if width == 0:
        return (values > middle).astype(np.float64)
    return np.clip((values - middle) / width + 0.5, 0, 1)


def _is_inverted(dataset: Dataset) -> bool:
    """Say whether the lowest value is displayed white."""
    photometric = str(dataset.PhotometricInterpretation)
    shape = str(dataset.get("PresentationLUTShape") or SHAPE_OF[photometric])
    if shape != SHAPE_OF[photometric]:
        raise PixelsRefused(
            f"PresentationLUTShape: found {shape} with PhotometricInterpretation {photometric}, expected "
            f"{SHAPE_OF[photometric]}; the header states two polarities, correct it and send again"
        )
    return photometric == "MONOCHROME1"
