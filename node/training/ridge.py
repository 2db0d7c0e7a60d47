"""Fits a linear layer on many features of few examples, and says by cross-validation how well it would do.

Hoerl and Kennard, Technometrics 12, 1970, in the form that needs one equation for each example and not
for each feature (Saunders, Gammerman and Vovk, ICML 1998).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class LinearLayer:
    """`features` @ `weights` + `bias` is the estimate."""

    weights: Numbers
    bias: float


def fit_ridge(features: NDArray[np.float32], targets: Numbers, penalty: float) -> LinearLayer:
    """Fit (examples, features) to one number for each example.

    The penalty is a share of the mean square of the centred features, summed, so that it means the same
    whatever the number of features and their scale.
    """
    centre, middle = features.mean(axis=0), float(targets.mean())
    centred = (features - centre).astype(np.float64)
    weights = centred.T @ _solve(centred @ centred.T, targets - middle, penalty)
    return LinearLayer(weights, middle - float(centre @ weights))


def cross_validate(
    features: NDArray[np.float32], targets: Numbers, penalty: float, folds: NDArray[np.int64]
) -> Numbers:
    """Return the estimate for each example by a layer fitted without the examples of its fold."""
    inner = (features @ features.T).astype(np.float64)
    estimates = np.empty(len(targets))
    for fold in np.unique(folds):
        seen, held = folds != fold, folds == fold
        among, across = inner[np.ix_(seen, seen)], inner[np.ix_(held, seen)]
        means = among.mean(axis=0)
        middle = targets[seen].mean()
        factors = _solve(among - means - means[:, np.newaxis] + means.mean(), targets[seen] - middle, penalty)
        centred = across - across.mean(axis=1, keepdims=True) - means + means.mean()
        estimates[held] = centred @ factors + middle
    return estimates


def deal_folds(strata: Numbers, count: int, seed: int) -> NDArray[np.int64]:
    """Return the fold of each example, dealt so that every fold has low and high `strata` alike; ties at random."""
    order = np.lexsort((np.random.default_rng(seed).random(len(strata)), strata))
    folds = np.empty(len(strata), np.int64)
    folds[order] = np.arange(len(strata)) % count
    return folds


def scale_to_unit(features: NDArray[np.float32]) -> float:
    """Return the factor that gives centred (examples, features) a mean square, summed over features, of 1."""
    return float(1.0 / np.sqrt(((features - features.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _solve(inner: Numbers, targets: Numbers, penalty: float) -> Numbers:
    size = len(inner)
    return np.asarray(np.linalg.solve(inner + penalty * np.trace(inner) / size * np.eye(size), targets))
