"""How well a volume of labels agrees with the truth, label by label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.training.scores import score
from node.training.surface_distance import hausdorff_95_mm
from node.vocabulary import Mask

Labels = NDArray[Any]


def score_labels(
    truth: Labels, found: Labels, names: Mapping[str, int], spacing_mm: tuple[float, ...]
) -> dict[str, float]:
    """Return for each label of `names` Dice, 95 % Hausdorff distance in mm and volume difference.

    The keys are `dice_NAME`, `hd95_NAME` and `avd_NAME`; `dice` is the mean over all labels.
    """
    scores: dict[str, float] = {}
    for name, label in names.items():
        true, marked = truth == label, found == label
        scores[f"dice_{name}"] = score(true.astype(np.float32), marked).dice
        scores[f"hd95_{name}"] = hausdorff_95_mm(true, marked, spacing_mm)
        scores[f"avd_{name}"] = absolute_volume_difference(true, marked)
    return {"dice": float(np.mean([scores[f"dice_{name}"] for name in names])), **scores}


def absolute_volume_difference(truth: Mask, found: Mask) -> float:
    """Return how much the volume differs, as a share of the true one; infinity where that is none."""
    true, marked = int(truth.sum()), int(found.sum())
    if not true:
        return 0.0 if not marked else float("inf")
    return abs(marked - true) / true

