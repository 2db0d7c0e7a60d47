"""A linear layer fitted on more features than examples, and what cross-validation says of it."""

from __future__ import annotations

import numpy as np
import pytest

from node.training.ridge import cross_validate, deal_folds, fit_ridge, scale_to_unit

RNG = np.random.default_rng(5)
FEATURES = RNG.normal(2.0, 1.0, (30, 200)).astype(np.float32)
TARGETS = FEATURES[:, :3].sum(axis=1).astype(np.float64) + 40.0


def test_a_small_penalty_gives_the_targets_back() -> None:
    layer = fit_ridge(FEATURES, TARGETS, 1e-6)
    np.testing.assert_allclose(FEATURES @ layer.weights + layer.bias, TARGETS, atol=1e-3)


def test_a_large_penalty_gives_the_mean() -> None:
    layer = fit_ridge(FEATURES, TARGETS, 1e6)
    np.testing.assert_allclose(FEATURES @ layer.weights + layer.bias, TARGETS.mean(), atol=1e-3)


def test_the_form_with_one_equation_per_example_is_the_usual_ridge() -> None:
    few = FEATURES[:, :4].astype(np.float64)
    centred, penalty = few - few.mean(axis=0), 0.2
    weight = penalty * (centred**2).sum() / len(few)
    expected = np.linalg.solve(centred.T @ centred + weight * np.eye(4), centred.T @ (TARGETS - TARGETS.mean()))
    np.testing.assert_allclose(fit_ridge(FEATURES[:, :4], TARGETS, penalty).weights, expected, rtol=1e-5)


def test_cross_validation_is_a_fit_without_the_fold() -> None:
    folds = deal_folds(TARGETS, 5, seed=1)
    estimates = cross_validate(FEATURES, TARGETS, 0.1, folds)
    for fold in range(5):
        layer = fit_ridge(FEATURES[folds != fold], TARGETS[folds != fold], 0.1)
        expected = FEATURES[folds == fold] @ layer.weights + layer.bias
        np.testing.assert_allclose(estimates[folds == fold], expected, rtol=1e-4)


def test_every_fold_has_low_and_high_examples() -> None:
    folds = deal_folds(TARGETS, 5, seed=1)
    assert np.bincount(folds).tolist() == [6] * 5
    for fold in range(5):
        assert TARGETS[folds == fold].min() < np.median(TARGETS) < TARGETS[folds == fold].max()


def test_examples_alike_are_dealt_by_the_seed() -> None:
    alike = np.ones(40)
    assert not np.array_equal(deal_folds(alike, 4, seed=1), deal_folds(alike, 4, seed=2))
    np.testing.assert_array_equal(deal_folds(alike, 4, seed=1), deal_folds(alike, 4, seed=1))


def test_scaled_features_weigh_the_same_whatever_their_unit() -> None:
    for features in (FEATURES, 1000 * FEATURES):
        scaled = features * scale_to_unit(features)
        assert ((scaled - scaled.mean(axis=0)) ** 2).sum(axis=1).mean() == pytest.approx(1.0, rel=1e-4)
