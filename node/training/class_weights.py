"""How much each class counts in a loss, so that rare classes are learnt as well as common ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.errors import TrainingDataError

Weights = NDArray[np.float64]


def balanced_weights(labels: NDArray[Any], classes: int) -> Weights:
    """Return weights under which every class counts the same in all, and a voxel 1 on average.

    `labels` are numbers of classes, of any shape. Raises TrainingDataError when a class does not occur.
    """
    counts = _counts(labels, classes)
    _check_all_occur(counts)
    return np.asarray(counts.sum() / (classes * counts))


def median_frequency_weights(volumes: Iterable[NDArray[Any]], classes: int) -> Weights:
    """Return the median of the frequencies of all classes over the frequency of each.

    Eigen and Fergus, ICCV 2015, section 6.3.2: the frequency of a class is its share of the voxels of
    those volumes that hold it. Raises TrainingDataError when a class does not occur.
    """
    own, seen = np.zeros(classes), np.zeros(classes)
    for labels in volumes:
        counts = _counts(labels, classes)
        own += counts
        seen += labels.size * (counts > 0)
    _check_all_occur(own)
    frequencies = own / seen
    return np.asarray(np.median(frequencies) / frequencies)


def _counts(labels: NDArray[Any], classes: int) -> Weights:
    return np.bincount(labels.ravel().astype(np.int64), minlength=classes)[:classes].astype(np.float64)


def _check_all_occur(counts: Weights) -> None:
    missing = np.flatnonzero(counts == 0).tolist()
    if missing:
        raise TrainingDataError(f"no label {missing} occurs in the training data; expected some of each class")
