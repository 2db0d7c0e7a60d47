"""How well a mask agrees with the truth: four numbers per picture."""

from __future__ import annotations

from dataclasses import dataclass

from node.training.samples import IGNORED, STRUCTURE, Truth
from node.vocabulary import Mask


@dataclass(frozen=True)
class Scores:
    """The agreement of one mask with the truth, each in 0..1."""

    dice: float
    iou: float
    recall: float
    precision: float


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


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
