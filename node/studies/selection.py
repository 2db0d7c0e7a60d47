"""Selection: rules on the series of a complete study, which jobs come of it, and why or why not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from node.selector import InputSelector
from node.settings import Rule
from node.studies.combination import JobInputs, combine_inputs
from node.studies.preference import prefer_series
from node.studies.rules import Check, check_instance, check_series
from node.studies.traits import IndexedInstance, IndexedSeries, Traits, read_traits


@dataclass(frozen=True)
class SeriesDecision:
    """Why a rule did or did not take the like instances of a series: a sentence for each criterion."""

    rule: str
    series_instance_uid: str
    instances: int
    is_match: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ChosenJob:
    """A job that a rule asks for: its model on these inputs."""

    rule: Rule
    inputs: JobInputs


@dataclass(frozen=True)
class Selection:
    """What the rules made of a study."""

    decisions: tuple[SeriesDecision, ...]
    jobs: tuple[ChosenJob, ...]


@dataclass(frozen=True)
class _Group:
    """Like instances of a series, decided as one."""

    traits: Traits
    instances: tuple[IndexedInstance, ...]


@dataclass
class _Trial:
    """A series tried as one input of a model; `notes` say what became of it among the others."""

    series: IndexedSeries
    checks: list[tuple[_Group, list[Check]]]
    fitting: tuple[IndexedInstance, ...]
    notes: list[Check]

    @property
    def is_chosen(self) -> bool:
        return bool(self.fitting) and all(note.is_met for note in self.notes)


def apply_rules(
    rules: Sequence[Rule], inputs: Mapping[str, Mapping[str, InputSelector]], series: Sequence[IndexedSeries]
) -> Selection:
    """Try every rule on every series; `inputs` are those of each model by name.

    Instances that share all that criteria compare are decided once, whatever their number.
    """
    grouped = [(one, _group_alike(one)) for one in series if one.instances]
    decisions: list[SeriesDecision] = []
    jobs: list[ChosenJob] = []
    for rule in rules:
        trials = {
            role: [_try_series(rule, _Input(role, wanted, len(inputs[rule.model])), *entry) for entry in grouped]
            for role, wanted in inputs[rule.model].items()
        }
        jobs += _jobs_of(rule, inputs[rule.model], trials)
        decisions += _decide(rule, trials)
    return Selection(tuple(decisions), tuple(jobs))


@dataclass(frozen=True)
class _Input:
    """One input of a rule's model, and how many it has."""

    role: str
    wanted: InputSelector
    siblings: int

    def owner(self, model: str) -> str:
        """Return the end of a sentence on what this input asks for."""
        return f" (model {model})" if self.siblings == 1 else f" (input {self.role} of model {model})"


def _group_alike(series: IndexedSeries) -> list[_Group]:
    groups: dict[Traits, list[IndexedInstance]] = defaultdict(list)
    for instance in series.instances:
        groups[read_traits(instance)].append(instance)
    return [_Group(traits, tuple(instances)) for traits, instances in groups.items()]


def _try_series(rule: Rule, asked: _Input, series: IndexedSeries, groups: list[_Group]) -> _Trial:
    """Look at all that the rule and one input of its model ask of a series.

    What is asked of the series as a whole counts for the instances that fit one by one.
    """
    owner = asked.owner(rule.model)
    off = [] if rule.enabled else [Check(False, "the rule is switched off (enabled = false)")]
    singly = [
        (group, [*off, *check_instance(rule, group.traits), *check_instance(asked.wanted, group.traits, owner)])
        for group in groups
    ]
    fitting = tuple(i for group, checks in singly if _all_met(checks) for i in group.instances)
    whole: dict[bool, list[Check]] = {True: []}
    for is_fitting in {_all_met(checks) for _, checks in singly}:
        images = fitting if is_fitting else series.instances
        whole[is_fitting] = [*check_series(rule, images), *check_series(asked.wanted, images, owner)]
    checks = [(group, checks + whole[_all_met(checks)]) for group, checks in singly]
    return _Trial(series, checks, fitting if _all_met(whole[True]) else (), [])


def _jobs_of(rule: Rule, inputs: Mapping[str, InputSelector], trials: Mapping[str, list[_Trial]]) -> list[ChosenJob]:
    """Choose among the series of each input, combine the inputs, and note on the trials what was decided."""
    for role, wanted in inputs.items():
        candidates = [trial for trial in trials[role] if trial.is_chosen]
        for trial, note in zip(candidates, prefer_series(wanted.choose, [t.fitting for t in candidates]), strict=True):
            trial.notes.extend(note)
    chosen = {role: [trial.fitting for trial in tried if trial.is_chosen] for role, tried in trials.items()}
    combined = combine_inputs(rule.model, inputs, chosen)
    if combined.refusal:
        for trial in (trial for tried in trials.values() for trial in tried if trial.is_chosen):
            trial.notes.append(Check(False, combined.refusal))
    return [ChosenJob(rule, job) for job in combined.jobs]


def _decide(rule: Rule, trials: Mapping[str, list[_Trial]]) -> list[SeriesDecision]:
    """Say of each group of a series whether some input takes it; groups with the same sentences are one."""
    decisions: list[SeriesDecision] = []
    for of_series in zip(*trials.values(), strict=True):
        counts: dict[tuple[bool, tuple[str, ...]], int] = defaultdict(int)
        for number, (group, _) in enumerate(of_series[0].checks):
            verdicts = [_verdict(trial, number) for trial in of_series]
            reasons = dict.fromkeys(sentence for _, sentences in verdicts for sentence in sentences)
            is_match = any(is_taken for is_taken, _ in verdicts)
            counts[is_match, tuple(reasons) or ("the rule asks for nothing",)] += len(group.instances)
        uid = of_series[0].series.series_instance_uid
        decisions += [SeriesDecision(rule.name, uid, count, *said) for said, count in counts.items()]
    return decisions


def _verdict(trial: _Trial, number: int) -> tuple[bool, list[str]]:
    """Return whether one group of a series is taken as this input, and the sentences on it."""
    _, checks = trial.checks[number]
    notes = trial.notes if _all_met(checks) else []
    return _all_met(checks) and trial.is_chosen, [check.sentence for check in [*checks, *notes]]


def _all_met(checks: Sequence[Check]) -> bool:
    return all(check.is_met for check in checks)
