"""How well a mask agrees with the truth: four numbers per picture, and their means with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from node.training.samples import IGNORED, STRUCTURE, Truth
from node.vocabulary import Mask

MEASURES = ("dice", "iou", "recall", "precision")
CONFIDENCE = 0.95
DRAWS = 10_000


@dataclass(frozen=True)
class Scores:
    """The agreement of one mask with the truth, each in 0..1."""

    dice: float
    iou: float
    recall: float
    precision: float


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


def score(truth: Truth, found: Mask) -> Scores:
    """Compare a mask with the truth of the same grid; ignored pixels do not count.

    Nothing found where there is nothing counts as full agreement.
    """
    counted = truth != IGNORED
    true = (truth == STRUCTURE) & counted
    found = found & counted
    common = int((true & found).sum())
    in_true, in_found = int(true.sum()), int(found.sum())
    return Scores(
        dice=_ratio(2 * common, in_true + in_found),
        iou=_ratio(common, in_true + in_found - common),
        recall=_ratio(common, in_true),
        precision=_ratio(common, in_found),
    )


def estimate_mean(values: Sequence[float], patients: Sequence[str], seed: int) -> Estimate:
    """Return the mean over pictures; its interval comes from drawing patients with replacement.

    Pictures of one patient resemble each other, so patients are drawn, each with all its pictures.
    """
    owners, owner_of = np.unique(np.asarray(patients), return_inverse=True)
    sums = np.bincount(owner_of, weights=np.asarray(values, float))
    counts = np.bincount(owner_of)
    drawn = np.random.default_rng(seed).integers(0, len(owners), (DRAWS, len(owners)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(means, (tail, 100 - tail))
    return Estimate(float(np.mean(values)), float(low), float(high))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
