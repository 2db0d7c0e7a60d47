"""Scores a model and its baselines on the same pictures, on the grid of each picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from node.imaging.image import PlanarImage
from node.training.samples import Sample, read_picture, read_truth
from node.training.scores import MEASURES, Estimate, Scores, estimate_mean, score
from node.vocabulary import Mask

FindMask = Callable[[PlanarImage], Mask]

NETWORK = "network"
BOOTSTRAP_SEED = 1


@dataclass(frozen=True)
class Case:
    """One picture, and how each method did on it."""

    sample: Sample
    scores: Mapping[str, Scores]


@dataclass(frozen=True)
class Evaluation:
    """All pictures of a split with the scores of all methods; `NETWORK` is one of them."""

    cases: tuple[Case, ...]

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the names of the methods, the network first."""
        return tuple(self.cases[0].scores)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Return the names of the methods other than the network."""
        return tuple(method for method in self.methods if method != NETWORK)

    @property
    def patients(self) -> int:
        """Return how many patients the pictures come from."""
        return len({case.sample.patient for case in self.cases})

    def estimate(self, method: str, measure: str) -> Estimate:
        """Return the mean of a measure for a method, with its interval over patients."""
        return self._estimate([getattr(case.scores[method], measure) for case in self.cases])

    def gain(self, baseline: str, measure: str) -> Estimate:
        """Return how much better the network is than a baseline, paired by picture."""
        return self._estimate(
            [
                getattr(case.scores[NETWORK], measure) - getattr(case.scores[baseline], measure)
                for case in self.cases
            ]
        )

    def subsets(self) -> dict[str, Evaluation]:
        """Return the parts by group and by view that hold some but not all of the pictures."""
        parts: dict[str, list[Case]] = {}
        for case in self.cases:
            for name in filter(None, (case.sample.group, case.sample.view)):
                parts.setdefault(name, []).append(case)
        proper = (name for name in sorted(parts) if len(parts[name]) < len(self.cases))
        return {name: Evaluation(tuple(parts[name])) for name in proper}

    def worst(self, count: int) -> list[Case]:
        """Return the pictures with the lowest Dice of the network, the worst first."""
        return sorted(self.cases, key=lambda case: case.scores[NETWORK].dice)[:count]

    def _estimate(self, values: Sequence[float]) -> Estimate:
        return estimate_mean(values, [case.sample.patient for case in self.cases], BOOTSTRAP_SEED)


def evaluate(samples: Sequence[Sample], methods: Mapping[str, FindMask]) -> Evaluation:
    """Run every method on every picture and compare its mask with the truth."""
    return Evaluation(tuple(_score_case(sample, methods) for sample in samples))


def _score_case(sample: Sample, methods: Mapping[str, FindMask]) -> Case:
    image, truth = read_picture(sample), read_truth(sample)
    return Case(sample, {name: score(truth, np.asarray(find(image))) for name, find in methods.items()})


def as_numbers(evaluation: Evaluation) -> dict[str, object]:
    """Return what `evaluation.json` holds of the means: each measure of each method with its interval."""
    return {
        "pictures": len(evaluation.cases),
        "patients": evaluation.patients,
        "methods": {
            method: {measure: vars(evaluation.estimate(method, measure)) for measure in MEASURES}
            for method in evaluation.methods
        },
        "gain_in_dice": {
            baseline: vars(evaluation.gain(baseline, "dice")) for baseline in evaluation.baselines
        },
    }
