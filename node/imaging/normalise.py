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


def whiten(values: Values, where: Mask | None = None) -> Pixels:
    """Return values with mean 0 and standard deviation 1, both taken over `where` or over everything.

    Suits values whose unit means nothing, such as MR. Raises PixelsRefused where there is no contrast.
    """
    counted = (values.ravel() if where is None else values[where]).astype(np.float32)
    if not counted.size:
        raise PixelsRefused("no voxel belongs to what the network looks at; the image shows something else")
    mean, deviation = float(counted.mean(dtype=np.float64)), float(counted.std(dtype=np.float64))
    if not deviation > LEAST_SPREAD:
        raise PixelsRefused(
            f"the values of the image differ by {deviation:.2g} only; expected an image with contrast; send it again"
        )
    return np.asarray((values.astype(np.float32) - np.float32(mean)) / np.float32(deviation), np.float32)


def scale_range(values: Values, low: float, high: float) -> Pixels:
    """Map `low` to -1 and `high` to 1 linearly; values outside are clipped. Suits CT, `low` and `high` in HU."""
    scaled = (values.astype(np.float32) - low) * (2.0 / (high - low)) - 1.0
    return np.clip(scaled, -1.0, 1.0, out=scaled)


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
