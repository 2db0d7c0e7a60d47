"""The window of HU that the network sees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Pixels

WINDOW_HU = (-1000.0, 400.0)


def scale(hu: NDArray[np.float32]) -> Pixels:
    """Map the window linearly onto -1..1; values outside it are clipped."""
    low, high = WINDOW_HU
    return np.asarray(np.clip((hu - low) / (high - low) * 2.0 - 1.0, -1.0, 1.0), np.float32)
