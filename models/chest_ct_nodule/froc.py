"""Scores detection: how many nodules are found for how many false candidates in a scan.

Free-response ROC as in the LUNA16 challenge: Setio AAA et al., Med Image Anal 2017; 42: 1-13.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from node.imaging.volume import Millimetres
from node.training.statistics import Numbers, Statistic

from .candidates import Spot
from .scans import Target

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
# Small nodules count as found by a candidate this close.
LEAST_REACH_MM = 3.0


@dataclass(frozen=True)
class ScanResult:
    """What one method did on one scan.

    `hits` has for each nodule the best score of a candidate that hit it, or 0; `false_scores` are those of
    the candidates that hit none.
    """

    hits: NDArray[np.float64]
    false_scores: NDArray[np.float64]


def match(targets: Sequence[Target], candidates: Sequence[Spot]) -> ScanResult:
    """Compare candidates with nodules: one hits where its middle lies within the nodule's radius, or 3 mm."""
    hits = np.zeros(len(targets))
    false_scores = []
    for candidate in candidates:
        reached = [number for number, target in enumerate(targets) if _reaches(candidate.middle_mm, target)]
        for number in reached:
            hits[number] = max(hits[number], candidate.score)
        if not reached:
            false_scores.append(candidate.score)
    return ScanResult(hits, np.array(false_scores))


def sensitivity_at(results: Sequence[ScanResult], rate: float) -> Statistic:
    """Return the share of nodules found above the score at which scans have `rate` false candidates on average."""
    hits, hit_owners = _joined([result.hits for result in results])
    wrong, wrong_owners = _joined([result.false_scores for result in results])
    order = np.argsort(-wrong, kind="stable")
    falling, owners = np.append(wrong[order], 0.0), wrong_owners[order]

    def sensitivity(weights: Numbers) -> Numbers:
        allowed = rate * weights.sum(axis=1, keepdims=True) + 1e-9
        thresholds = falling[(np.cumsum(weights[:, owners], axis=1) <= allowed).sum(axis=1)]
        counted = weights[:, hit_owners]
        found = (counted * (hits > thresholds[:, np.newaxis])).sum(axis=1)
        return np.asarray(found / counted.sum(axis=1))

    return sensitivity


def mean_sensitivity(results: Sequence[ScanResult]) -> Statistic:
    """Return the mean of the sensitivities at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false candidates per scan."""
    statistics = [sensitivity_at(results, rate) for rate in RATES]
    return lambda weights: np.mean([statistic(weights) for statistic in statistics], axis=0)


def score_at(results: Sequence[ScanResult], rate: float) -> float:
    """Return the score above which scans have at most `rate` false candidates on average."""
    wrong = np.sort(np.concatenate([result.false_scores for result in results]))[::-1]
    allowed = int(rate * len(results) + 1e-9)
    return float(wrong[allowed]) if allowed < len(wrong) else 0.0


def _joined(arrays: Sequence[NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all numbers of all scans, and the scan each belongs to."""
    owners = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    return np.concatenate(arrays), owners


def _reaches(middle_mm: Millimetres, target: Target) -> bool:
    reach = max(LEAST_REACH_MM, target.diameter_mm / 2)
    return bool(np.linalg.norm(middle_mm - target.middle_mm) <= reach)
