"""Numbers over many cases with their 95 % bootstrap intervals, for which patients are drawn and not cases.

A statistic is a function of how often each case counts, (draws, cases), and returns one number for each
draw. Whatever can be written so has an interval: means, recall of a class, the area under a curve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
DRAWS = 10_000
BOOTSTRAP_SEED = 1
AT_ONCE = 500  # draws, so that a thousand cases stay within a few megabytes

Numbers = NDArray[np.float64]
Statistic = Callable[[Numbers], Numbers]


@dataclass(frozen=True)
class Estimate:
    """A number over all cases with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Drawn:
    """A statistic of the cases as they are, and of every draw."""

    of_all: float
    of_draws: Numbers

    def minus(self, other: Drawn) -> Drawn:
        """Return the difference to another statistic of the same draws, which pairs them by case."""
        with np.errstate(invalid="ignore"):
            return Drawn(self.of_all - other.of_all, self.of_draws - other.of_draws)

    def estimate(self) -> Estimate:
        """Return the number with its interval.

        Draws in which it cannot be computed, such as those without any case of a class, are left out.
        """
        values = self.of_draws[~np.isnan(self.of_draws)]
        if not values.size:
            return Estimate(self.of_all, float("nan"), float("nan"))
        tail = 100 * (1 - CONFIDENCE) / 2
        # Between two infinities nothing can be interpolated.
        method: Literal["linear", "nearest"] = "linear" if np.isfinite(values).all() else "nearest"
        low, high = np.percentile(values, (tail, 100 - tail), method=method)
        return Estimate(self.of_all, float(low), float(high))


@dataclass(frozen=True)
class Bootstrap:
    """Draws of patients with replacement, each with all its cases, because those resemble each other.

    `patients` has one entry for each case. `counted`, where given, says which cases take part.
    """

    patients: tuple[str, ...]
    counted: tuple[bool, ...] | None = None
    seed: int = BOOTSTRAP_SEED

    def estimate(self, statistic: Statistic) -> Estimate:
        """Return the statistic of the cases as they are, with its interval."""
        (drawn,) = self.draw([statistic])
        return drawn.estimate()

    def draw(self, statistics: Sequence[Statistic]) -> list[Drawn]:
        """Return every statistic of the cases as they are, and of the same draws."""
        everybody = self._part.astype(float)[np.newaxis]
        values = np.empty((len(statistics), DRAWS))
        of_all = [float(statistic(everybody)[0]) for statistic in statistics]
        for start in range(0, DRAWS, AT_ONCE):
            weights = self._weights(start)
            for number, statistic in enumerate(statistics):
                values[number, start : start + AT_ONCE] = statistic(weights)
        return [Drawn(number, row) for number, row in zip(of_all, values, strict=True)]

    @cached_property
    def _part(self) -> NDArray[np.bool_]:
        return np.ones(len(self.patients), np.bool_) if self.counted is None else np.asarray(self.counted)

    @cached_property
    def _owners(self) -> tuple[NDArray[np.int64], int]:
        """Return the number of each case's patient, and how many patients take part."""
        names, numbers = np.unique(np.asarray(self.patients)[self._part], return_inverse=True)
        owners = np.zeros(len(self.patients), np.int64)
        owners[self._part] = numbers
        return owners, len(names)

    @cached_property
    def _counts(self) -> NDArray[np.uint16]:
        """Return how often each patient is in each draw."""
        _, count = self._owners
        drawn = np.random.default_rng(self.seed).integers(0, count, (DRAWS, count))
        places = (drawn + np.arange(DRAWS)[:, np.newaxis] * count).ravel()
        counts = np.bincount(places, minlength=DRAWS * count).reshape(DRAWS, count)
        return np.asarray(counts, np.uint16)

    def _weights(self, start: int) -> Numbers:
        owners, _ = self._owners
        return np.asarray(self._counts[start : start + AT_ONCE][:, owners] * self._part, float)


def mean_of(values: ArrayLike) -> Statistic:
    """Return the mean of one number per case; a case whose number is NaN does not count, infinity does."""
    numbers = np.asarray(values, float)
    known = ~np.isnan(numbers)
    return ratio_of(np.where(known, numbers, 0.0), known)


def ratio_of(part: ArrayLike, whole: ArrayLike) -> Statistic:
    """Return the sum of one number per case over the sum of another, such as right answers over all.

    A part that is infinite makes the ratio so wherever its case counts.
    """
    parts, wholes = np.asarray(part, float), np.asarray(whole, float)
    endless = np.isposinf(parts)
    finite = np.where(endless, 0.0, parts)

    def ratio(weights: Numbers) -> Numbers:
        sums = np.where(weights @ endless > 0, np.inf, weights @ finite)
        return np.asarray(sums / _nonzero(weights @ wholes))

    return ratio


def root_mean_square_of(values: ArrayLike) -> Statistic:
    """Return the root of the mean square of one number per case."""
    mean_square = mean_of(np.asarray(values, float) ** 2)
    return lambda weights: np.sqrt(mean_square(weights))


def balanced_accuracy_of(is_right: ArrayLike, truths: Sequence[str]) -> Statistic:
    """Return the mean of the recalls of all classes among `truths`."""
    recalls = [recall_of(is_right, truths, name) for name in sorted(set(truths))]
    return lambda weights: np.mean([recall(weights) for recall in recalls], axis=0)


def recall_of(is_right: ArrayLike, truths: Sequence[str], name: str) -> Statistic:
    """Return the share of right answers among the cases whose truth is `name`."""
    belongs = np.array([truth == name for truth in truths], float)
    return ratio_of(np.asarray(is_right, float) * belongs, belongs)


def area_under_curve_of(scores: ArrayLike, is_positive: ArrayLike) -> Statistic:
    """Return the area under the ROC curve: how often a positive case scores above a negative one.

    Hanley and McNeil, Radiology 143, 1982; equal scores count half.
    """
    values, positive = np.asarray(scores, float), np.asarray(is_positive, bool)
    above, below = values[positive][:, np.newaxis], values[~positive]
    # Sums of halves are exact in float32 here, and twice as fast.
    wins = ((above > below) + 0.5 * (above == below)).astype(np.float32)

    def area(weights: Numbers) -> Numbers:
        positives, negatives = weights[:, positive], weights[:, ~positive]
        won = ((positives.astype(np.float32) @ wins) * negatives).sum(axis=1)
        return np.asarray(won / _nonzero(positives.sum(axis=1) * negatives.sum(axis=1)))

    return area


def correlation_of(values: ArrayLike, others: ArrayLike) -> Statistic:
    """Return the correlation of Pearson between two numbers per case."""
    x, y = np.asarray(values, float), np.asarray(others, float)
    x, y = x - x.mean(), y - y.mean()
    means = [mean_of(numbers) for numbers in (x, y, x * y, x * x, y * y)]

    def correlation(weights: Numbers) -> Numbers:
        mean_x, mean_y, xy, xx, yy = (mean(weights) for mean in means)
        spread = np.sqrt(np.maximum(xx - mean_x**2, 0.0) * np.maximum(yy - mean_y**2, 0.0))
        return np.asarray((xy - mean_x * mean_y) / _nonzero(spread))

    return correlation


def _nonzero(values: Numbers) -> Numbers:
    """Return NaN in place of zero, so that a division says that there is nothing to say."""
    return np.where(values == 0.0, np.nan, values)
