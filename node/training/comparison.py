"""A network and its baselines on the same cases: the numbers of every evaluation, whatever the task is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from node.training.statistics import Bootstrap, Drawn, Estimate, Statistic

NETWORK = "network"


@dataclass(frozen=True)
class Measure:
    """What a number says: its key in `evaluation.json`, its column in `evaluation.md`, and which way is better.

    `higher_is_better` is None for a number that describes and does not judge, such as a bias.
    """

    key: str
    title: str
    higher_is_better: bool | None = True
    digits: int = 3


@dataclass(frozen=True)
class Case:
    """One picture, volume or patient, and how each method did on it.

    `groups` name subsets that scores are also reported for. `facts` are further words for the report,
    such as the truth. `scores` are numbers by method and key.
    """

    name: str
    patient: str
    scores: Mapping[str, Mapping[str, float]]
    groups: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Section:
    """A further part of the report, in Markdown."""

    title: str
    text: str


@dataclass(frozen=True)
class Comparison:
    """Every method with its statistics by measure; `NETWORK` is the first method.

    `noun` is what the cases are called. `ranked_by` is a measure that `scores` of every case holds,
    by which the worst cases are found; "" names none. `counted` says which cases take part.
    """

    cases: tuple[Case, ...]
    measures: tuple[Measure, ...]
    methods: Mapping[str, Mapping[str, Statistic]]
    noun: str = "cases"
    ranked_by: str = ""
    sections: tuple[Section, ...] = ()
    counted: tuple[bool, ...] | None = None

    @property
    def taking_part(self) -> tuple[Case, ...]:
        """Return the cases that count."""
        counted = self.counted or (True,) * len(self.cases)
        return tuple(case for case, counts in zip(self.cases, counted, strict=True) if counts)

    @property
    def patients(self) -> int:
        """Return how many patients the cases come from."""
        return len({case.patient for case in self.taking_part})

    @property
    def baselines(self) -> tuple[str, ...]:
        """Return the names of the methods other than the network."""
        return tuple(method for method in self.methods if method != NETWORK)

    def estimate(self, method: str, measure: str) -> Estimate | None:
        """Return a measure of a method with its interval over patients; None where the method has none."""
        return self._estimates[method].get(measure)

    def gain(self, baseline: str, measure: str) -> Estimate | None:
        """Return how much better the network is than a baseline, paired by case; None where nothing says so."""
        return self._gains.get(measure, {}).get(baseline)

    def subsets(self) -> dict[str, Comparison]:
        """Return the parts by group that hold some but not all of the cases."""
        names = sorted({name for case in self.cases for name in case.groups if name})
        members = {name: tuple(name in case.groups for case in self.cases) for name in names}
        return {name: self._only(counted) for name, counted in members.items() if not all(counted)}

    def worst(self, count: int) -> list[Case]:
        """Return the cases that the network did worst on, the worst first; none where nothing ranks them."""
        if not self.ranked_by:
            return []
        measure = next(measure for measure in self.measures if measure.key == self.ranked_by)
        sign = 1.0 if measure.higher_is_better else -1.0
        numbers = {id(case): sign * case.scores[NETWORK][self.ranked_by] for case in self.taking_part}
        known = [case for case in self.taking_part if not math.isnan(numbers[id(case)])]
        return sorted(known, key=lambda case: numbers[id(case)])[:count]

    def as_numbers(self) -> dict[str, object]:
        """Return what `evaluation.json` holds: each measure of each method, and each gain, with its interval."""
        return {
            self.noun: len(self.taking_part),
            "patients": self.patients,
            "methods": {
                method: {key: vars(estimate) for key, estimate in estimates.items()}
                for method, estimates in self._estimates.items()
            },
            "gain": {
                measure: {baseline: vars(gain) for baseline, gain in gains.items()}
                for measure, gains in self._gains.items()
            },
        }

    def _only(self, counted: tuple[bool, ...]) -> Comparison:
        return Comparison(
            self.cases, self.measures, self.methods, self.noun, self.ranked_by, counted=counted
        )

    @cached_property
    def _drawn(self) -> dict[str, dict[str, Drawn]]:
        """Return every measure of every method, of the cases and of the same draws of patients."""
        draws = Bootstrap(tuple(case.patient for case in self.cases), self.counted)
        places = [(method, key) for method, statistics in self.methods.items() for key in statistics]
        found = draws.draw([self.methods[method][key] for method, key in places])
        drawn: dict[str, dict[str, Drawn]] = {method: {} for method in self.methods}
        for (method, key), one in zip(places, found, strict=True):
            drawn[method][key] = one
        return drawn

    @cached_property
    def _estimates(self) -> dict[str, dict[str, Estimate]]:
        """Return the number of every method and measure."""
        return {
            method: {key: drawn.estimate() for key, drawn in measures.items()}
            for method, measures in self._drawn.items()
        }

    @cached_property
    def _gains(self) -> dict[str, dict[str, Estimate]]:
        """Return the gain for every measure that judges and every baseline that has it."""
        judging = [measure for measure in self.measures if measure.higher_is_better is not None]
        return {
            measure.key: {
                baseline: self._gain(baseline, measure).estimate()
                for baseline in self.baselines
                if measure.key in self._drawn[baseline] and measure.key in self._drawn[NETWORK]
            }
            for measure in judging
        }

    def _gain(self, baseline: str, measure: Measure) -> Drawn:
        ours, theirs = self._drawn[NETWORK][measure.key], self._drawn[baseline][measure.key]
        return ours.minus(theirs) if measure.higher_is_better else theirs.minus(ours)
