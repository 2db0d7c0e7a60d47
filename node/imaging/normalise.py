"""Brings the values of images from different scanners to one scale, before a network sees them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.errors import PixelsRefused
from node.vocabulary import Mask, Pixels

Values = NDArray[np.int16] | NDArray[np.float32]

LEAST_SPREAD = 1e-6
BLACK = -1.0
EXPOSED_PERCENTILES = (1.0, 99.0)
LEAST_CONTRAST = 0.01  # less is the noise of an empty exposure, which stretching would turn into a picture
# The deviation of a normal distribution is this many times the median distance from its median.
DEVIATION_PER_MEDIAN_DISTANCE = 1.4826


def whiten(values: Values, where: Mask | None = None) -> Pixels:
    """Return values with mean 0 and standard deviation 1, both taken over `where` or over everything.

    Suits values whose unit means nothing, such as MR. Raises PixelsRefused where there is no contrast.
    """
    counted = _counted(values, where)
    return _scale(values, float(counted.mean(dtype=np.float64)), float(counted.std(dtype=np.float64)))


def whiten_robustly(values: Values, where: Mask | None = None) -> Pixels:
    """Return values with median 0 and a deviation of 1 that a few extreme values do not change.

    The deviation is 1.4826 times the median distance from the median of `where`, or of everything.
    Raises PixelsRefused where there is no contrast.
    """
    counted = _counted(values, where)
    median = float(np.median(counted))
    distance = float(np.median(np.abs(counted - np.float32(median))))
    return _scale(values, median, DEVIATION_PER_MEDIAN_DISTANCE * distance)


def scale_range(values: Values, low: float, high: float) -> Pixels:
    """Map `low` to -1 and `high` to 1 linearly; values outside are clipped. Suits CT, `low` and `high` in HU."""
    scaled = (values.astype(np.float32) - low) * (2.0 / (high - low)) - 1.0
    return np.clip(scaled, -1.0, 1.0, out=scaled)


def scale_percentiles(values: Values, percentiles: tuple[float, float], where: Mask | None = None) -> Pixels:
    """Map two percentiles of `where`, or of everything, to -1 and 1; values outside are clipped.

    Raises PixelsRefused where there is no contrast between them.
    """
    low, high = (float(value) for value in np.percentile(_counted(values, where), percentiles))
    _check_spread(high - low)
    return scale_range(values, low, high)


def stretch_exposure(picture: Pixels, seen: Mask) -> Pixels:
    """Map the middle 98 % of the grey values 0..1 seen of an X-ray onto -1..1; what was not seen is black, -1.

    Raises PixelsRefused where nothing was seen or the exposure was empty.
    """
    if not seen.any():
        raise PixelsRefused("every pixel is padding; an X-ray is needed; send the image again")
    low, high = np.percentile(picture[seen], EXPOSED_PERCENTILES)
    if high - low < LEAST_CONTRAST:
        raise PixelsRefused(
            f"the grey values of the picture reach from {low:.3f} to {high:.3f} of 0..1; an X-ray needs at "
            f"least {LEAST_CONTRAST} between them; check the window in its header"
        )
    stretched = np.clip((picture - low) / (high - low), 0.0, 1.0) * 2.0 - 1.0
    return np.where(seen, stretched, BLACK).astype(np.float32)


def _counted(values: Values, where: Mask | None) -> Pixels:
    counted = values.ravel() if where is None else values[where]
    if not counted.size:
        raise PixelsRefused("no voxel belongs to what the network looks at; the image shows something else")
    return counted.astype(np.float32)


def _scale(values: Values, middle: float, spread: float) -> Pixels:
    _check_spread(spread)
    return np.asarray((values.astype(np.float32) - np.float32(middle)) / np.float32(spread), np.float32)


def _check_spread(spread: float) -> None:
    if not spread > LEAST_SPREAD:
        raise PixelsRefused(
            f"the values of the image differ by {spread:.2g} only; expected an image with contrast; send it again"
        )
