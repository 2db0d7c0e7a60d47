"""From a probability map to nodule candidates: connected parts, each with its place, size and score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.volume import Grid, Millimetres
from node.vocabulary import Mask

PROBABILITY = 0.3
LEAST_MM3 = 15.0
# Nothing that is larger is a nodule or a mass; a third of a lung that turned solid is.
LARGEST_MM = 80.0
# The score is the mean of this many voxels, a cube of 4.5 mm, in which the network is surest.
SUREST = 27


@dataclass(frozen=True)
class Spot:
    """What may be a nodule: its middle (x, y, z) in mm, the diameter of a ball of its volume, and a score in 0..1."""

    middle_mm: Millimetres
    diameter_mm: float
    score: float


@dataclass(frozen=True)
class Candidate(Spot):
    """A spot with its outline: a mask of the voxels from `first` (slice, row, column) on that just holds it."""

    mask: Mask
    first: tuple[int, int, int]


def find_candidates(probability: NDArray[np.float32], region: Mask, grid: Grid) -> list[Candidate]:
    """Return the connected parts of a map that touch the region, the one with the highest score first."""
    marked = SimpleITK.GetImageFromArray((probability > PROBABILITY).astype(np.uint8))
    labels = SimpleITK.ConnectedComponent(marked)
    least = max(1, int(LEAST_MM3 / grid.voxel_mm3))
    ranked = SimpleITK.RelabelComponent(labels, least)
    shapes = SimpleITK.LabelShapeStatisticsImageFilter()
    shapes.Execute(ranked)
    numbers = SimpleITK.GetArrayViewFromImage(ranked)
    found = []
    for label in shapes.GetLabels():
        x, y, z, columns, rows, slices = shapes.GetBoundingBox(label)
        cut = (slice(z, z + slices), slice(y, y + rows), slice(x, x + columns))
        mask = numbers[cut] == label
        candidate = _candidate(mask, probability[cut], (z, y, x), grid)
        if (mask & region[cut]).any() and candidate.diameter_mm <= LARGEST_MM:
            found.append(candidate)
    return sorted(found, key=lambda candidate: -candidate.score)


def _candidate(mask: Mask, probability: NDArray[np.float32], first: tuple[int, int, int], grid: Grid) -> Candidate:
    surest = np.sort(probability[mask])[-SUREST:]
    middle = np.argwhere(mask).mean(axis=0) + np.array(first)
    volume_mm3 = mask.sum() * grid.voxel_mm3
    return Candidate(
        middle_mm=grid.position_mm((float(middle[0]), float(middle[1]), float(middle[2]))),
        diameter_mm=float(np.cbrt(6.0 * volume_mm3 / np.pi)),
        score=float(surest.mean()),
        mask=mask,
        first=first,
    )
