"""Random fields that change slowly over a volume: bias of a coil, patches of fat, displacements."""

from __future__ import annotations

import numpy as np
import SimpleITK
from numpy.random import Generator

from node.vocabulary import Pixels


def smooth_field(shape: tuple[int, ...], knots: int, rng: Generator) -> Pixels:
    """Return normal values at `knots` places along the longest axis, fewer along the others, and linear between.

    Its standard deviation is somewhat below one.
    """
    step = max(shape) / knots
    counts = [max(2, round(size / step)) for size in shape]
    coarse = SimpleITK.GetImageFromArray(rng.standard_normal(counts, np.float32))
    coarse.SetSpacing([(size - 1) / (count - 1) for size, count in zip(shape[::-1], counts[::-1], strict=True)])
    fine = SimpleITK.Resample(
        coarse, list(shape[::-1]), SimpleITK.Transform(), SimpleITK.sitkLinear, [0.0] * len(shape), [1.0] * len(shape)
    )
    return np.asarray(SimpleITK.GetArrayFromImage(fine), np.float32)
