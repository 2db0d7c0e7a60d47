"""Scores methods that mark a structure in pictures: their masks against the truth, on the grid of each picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from node.imaging.image import PlanarImage
from node.training.comparing import compare_numbers
from node.training.comparison import NETWORK, Case, Comparison, Measure
from node.training.samples import Sample, read_picture, read_truth
from node.training.scores import Scores, score
from node.vocabulary import Mask

FindMask = Callable[[PlanarImage], Mask]

MASK_MEASURES = (
    Measure("dice", "Dice"),
    Measure("iou", "IoU"),
    Measure("recall", "Recall"),
    Measure("precision", "Precision"),
)

__all__ = ["MASK_MEASURES", "NETWORK", "FindMask", "compare_masks", "evaluate", "mask_case"]


def evaluate(samples: Sequence[Sample], methods: Mapping[str, FindMask]) -> Comparison:
    """Run every method on every picture and compare its mask with the truth."""
    return compare_masks([_score_sample(sample, methods) for sample in samples])


def mask_case(sample: Sample, scores: Mapping[str, Scores]) -> Case:
    """Return the case of one sample, which is also counted in the part of its group and of its view."""
    return Case(
        name=sample.name,
        patient=sample.patient,
        scores={method: vars(found) for method, found in scores.items()},
        groups=(sample.group, sample.view),
        facts={"view": sample.view, "group": sample.group},
    )


def compare_masks(cases: Sequence[Case], noun: str = "pictures") -> Comparison:
    """Compare the mean Dice, IoU, recall and precision of all methods."""
    return compare_numbers(cases, MASK_MEASURES, noun)


def _score_sample(sample: Sample, methods: Mapping[str, FindMask]) -> Case:
    image, truth = read_picture(sample), read_truth(sample)
    return mask_case(sample, {name: score(truth, np.asarray(find(image))) for name, find in methods.items()})
