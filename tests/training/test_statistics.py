"""Numbers over many cases and their intervals."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from node.training.statistics import (
    Bootstrap,
    area_under_curve_of,
    balanced_accuracy_of,
    correlation_of,
    mean_of,
    ratio_of,
    recall_of,
    root_mean_square_of,
)


def patients(count: int, pictures_each: int = 1) -> tuple[str, ...]:
    return tuple(str(number // pictures_each) for number in range(count))


def test_pictures_of_one_patient_widen_the_interval_of_the_mean() -> None:
    values = np.random.default_rng(2).normal(0.9, 0.05, 10).repeat(4)
    apart = Bootstrap(patients(40)).estimate(mean_of(values))
    together = Bootstrap(patients(40, pictures_each=4)).estimate(mean_of(values))
    assert apart.mean == together.mean == pytest.approx(np.mean(values))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_the_interval_of_a_mean_is_that_of_its_standard_error() -> None:
    values = np.random.default_rng(4).normal(0.5, 0.1, 200)
    interval = Bootstrap(patients(200)).estimate(mean_of(values))
    half = 1.96 * values.std() / np.sqrt(200)
    assert interval.low == pytest.approx(values.mean() - half, abs=0.002)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.002)


def test_cases_that_do_not_count_change_nothing() -> None:
    values = np.random.default_rng(4).normal(0.5, 0.1, 30)
    alone = Bootstrap(patients(20)).estimate(mean_of(values[:20]))
    part = Bootstrap(patients(30), counted=(True,) * 20 + (False,) * 10).estimate(mean_of(values))
    assert vars(part) == pytest.approx(vars(alone))


def test_a_case_without_a_number_does_not_count() -> None:
    assert Bootstrap(patients(3)).estimate(mean_of([1.0, float("nan"), 2.0])).mean == pytest.approx(1.5)


def test_one_infinite_distance_makes_the_mean_and_its_upper_limit_infinite_where_its_case_counts() -> None:
    distances = mean_of([1.0, float("inf"), 2.0])
    found = Bootstrap(patients(3)).estimate(distances)
    assert (found.mean, found.low, found.high) == (float("inf"), 1.0, float("inf"))
    without = Bootstrap(patients(3), counted=(True, False, True)).estimate(distances)
    assert without.mean == 1.5
    assert without.high == 2.0


def test_a_recall_is_the_share_of_right_answers_within_its_class_in_every_draw() -> None:
    truths = ["a", "a", "a", "b"]
    right = [1, 1, 0, 1]
    weights = np.array([[1.0, 1, 1, 1], [0, 1, 2, 0]])
    np.testing.assert_allclose(recall_of(right, truths, "a")(weights), [2 / 3, 1 / 3])
    np.testing.assert_allclose(recall_of(right, truths, "b")(weights), [1.0, np.nan])
    np.testing.assert_allclose(balanced_accuracy_of(right, truths)(weights[:1]), [(2 / 3 + 1) / 2])


def test_draws_without_a_class_are_left_out_of_the_interval_of_its_recall() -> None:
    found = Bootstrap(patients(4)).estimate(recall_of([1, 1, 0, 1], ["a", "a", "a", "b"], "b"))
    assert (found.mean, found.low, found.high) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_the_curve_counts_pairs_and_ties_half(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores, positive = rng.integers(0, 5, 30).astype(float), rng.random(30) < 0.4
    weights = rng.integers(0, 4, (3, 30)).astype(float)
    pairs = product(np.flatnonzero(positive), np.flatnonzero(~positive))
    won, all_pairs = np.zeros(3), np.zeros(3)
    for p, n in pairs:
        both = weights[:, p] * weights[:, n]
        won += both * ((scores[p] > scores[n]) + 0.5 * (scores[p] == scores[n]))
        all_pairs += both
    np.testing.assert_allclose(area_under_curve_of(scores, positive)(weights), won / all_pairs)


def test_a_correlation_is_that_of_the_cases_drawn() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(60, 10, 12), rng.normal(60, 10, 12)
    times = rng.integers(0, 3, 12)
    expected = np.corrcoef(np.repeat(x, times), np.repeat(y, times))[0, 1]
    np.testing.assert_allclose(correlation_of(x, y)(times[np.newaxis].astype(float)), [expected])


def test_ratios_and_roots_are_those_worked_out_by_hand() -> None:
    weights = np.array([[1.0, 2.0]])
    np.testing.assert_allclose(ratio_of([1, 3], [2, 4])(weights), [7 / 10])
    np.testing.assert_allclose(root_mean_square_of([3, 4])(weights), [np.sqrt((9 + 32) / 3)])


def test_a_paired_gain_is_sure_where_two_means_are_not() -> None:
    rng = np.random.default_rng(7)
    hard = rng.normal(0.5, 0.2, 25)
    ours, theirs = mean_of(hard + 0.05 + rng.normal(0, 0.01, 25)), mean_of(hard)
    network, baseline = Bootstrap(patients(25)).draw([ours, theirs])
    assert network.estimate().low < baseline.estimate().high
    assert network.minus(baseline).estimate().low > 0.04
