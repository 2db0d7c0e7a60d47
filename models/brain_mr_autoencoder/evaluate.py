"""How this gate is scored: real brains against misfits made from them, and against real series of other things."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.volume import Volume
from node.training.comparing import with_sections
from node.training.comparison import NETWORK, Case, Comparison, Measure, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.markdown import table
from node.training.options import SERVED
from node.training.run_record import variant_of
from node.training.samples import Split
from node.training.statistics import Statistic, area_under_curve_of, mean_of
from node.vocabulary import Pixels

from .architecture import VARIANTS, build
from .kinds import Kind
from .misfits import HELD_BACK, LEARNED
from .preprocess import EMBEDDING, LEAST_SCORE, prepare, score_of
from .real_series import RealSeries, read_real_series
from .subjects import draw_subjects, read_subjects
from .variations import Limits, Subject, vary

Predict = Callable[[Pixels], Pixels]
Embedding = NDArray[np.float64]

ERROR, DISTANCE = "error_of_the_copy", "distance_of_the_embedding"
LOWEST = -1e6  # of a volume that `prepare` refuses
AS_IS, VARIED, SYNTHESISED = "brain as stored", "brain varied", "brain synthesised"
SHRINKAGE = 0.1  # of the covariance towards a multiple of the identity (Ledoit and Wolf, 2004)


@dataclass(frozen=True)
class Trial:
    """A volume that the gate judged: whose it is, what was done to it, and its score by method."""

    patient: str
    what: str
    is_brain: bool
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Judges:
    """The methods that score a volume, higher for one that is more like an upright T1 brain."""

    predict: Predict
    mean: Embedding
    precision: Embedding

    def score(self, volume: Volume) -> dict[str, float]:
        """Return the score of each method; all are lowest for a volume that `prepare` refuses."""
        try:
            batch = prepare(volume)
        except StudyRefused:
            return dict.fromkeys((NETWORK, ERROR, DISTANCE), LOWEST)
        row = self.predict(batch)[0]
        head = batch[0, ..., 0].ravel()
        away = row[head.size : head.size + EMBEDDING].astype(np.float64) - self.mean
        return {
            NETWORK: score_of(row[-len(Kind) :]),
            ERROR: -float(((head - row[: head.size]) ** 2).mean()),
            DISTANCE: -float(away @ self.precision @ away),
        }


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the gate on one split of `data`, and report beside the weights.

    Every subject is judged as it is, varied, and made into one misfit of each kind. On the test split the real
    series in the folders beside `data` are judged too, and the kinds of misfit that training never showed.
    """
    judges = make_judges(data, load_network(weights))
    kinds = {**LEARNED, **(HELD_BACK if split is Split.TEST else {})}
    trials = judge_subjects(judges, read_subjects(data, split), kinds)
    trials += judge_subjects(judges, draw_subjects(data, split, each=2, seed=2), {}, as_is=SYNTHESISED)
    series = read_real_series(data.parent) if split is Split.TEST else []
    judged = [(one, judges.score(one.volume)) for one in series]
    comparison = compare(trials, list(kinds))
    if judged:
        comparison = with_sections(comparison, _series_section(judged))
    circumstances = circumstances_of("brain_mr_autoencoder", weights, data, split.value, day)
    return write_evaluation(comparison, circumstances, weights.parent)


def load_network(weights: Path) -> Predict:
    """Return a function that gives the network's answer to a batch."""
    variant = variant_of(weights)
    network = build() if variant == SERVED else VARIANTS[variant]()
    network.load_weights(weights)
    return lambda batch: np.asarray(network.predict_on_batch(batch))


def make_judges(data: Path, predict: Predict) -> Judges:
    """Return the network's judge and two of its parts alone; the usual embedding is that of the training subjects."""
    subjects = read_subjects(data, Split.TRAIN).values()
    rows = np.concatenate([predict(prepare(subject.volume)) for subject in subjects])
    embeddings = rows[:, -len(Kind) - EMBEDDING : -len(Kind)].astype(np.float64)
    covariance = np.cov(embeddings.T)
    usual = np.trace(covariance) / EMBEDDING * np.eye(EMBEDDING)
    precision = np.linalg.inv((1 - SHRINKAGE) * covariance + SHRINKAGE * usual)
    return Judges(predict, embeddings.mean(axis=0), precision)


def judge_subjects(
    judges: Judges, subjects: Mapping[str, Subject], kinds: Mapping[str, object], as_is: str = AS_IS
) -> list[Trial]:
    """Judge every subject as it is, varied, and as one misfit of each of these kinds; the same on every run."""
    trials = []
    for number, (name, subject) in enumerate(subjects.items()):
        rng = np.random.default_rng([3, number])
        trials.append(Trial(name, as_is, True, judges.score(subject.volume)))
        trials.append(Trial(name, VARIED, True, judges.score(vary(subject, Limits(), rng))))
        for what in kinds:
            _, make = {**LEARNED, **HELD_BACK}[what]
            trials.append(Trial(name, what, False, judges.score(make(subject, rng))))
    return trials


def compare(trials: Sequence[Trial], kinds: Sequence[str]) -> Comparison:
    """Return the area under the curve of each method, over all misfits and for each kind, and the network's errors."""
    is_brain = np.array([trial.is_brain for trial in trials])
    methods: dict[str, dict[str, Statistic]] = {}
    for method in trials[0].scores:
        scores = [trial.scores[method] for trial in trials]
        methods[method] = {"auc": area_under_curve_of(scores, is_brain)}
        for what in kinds:
            counts = is_brain | np.array([trial.what == what for trial in trials])
            methods[method][_key(what)] = _over(counts, area_under_curve_of(scores, is_brain))
    accepted = np.array([trial.scores[NETWORK] >= LEAST_SCORE for trial in trials], float)
    methods[NETWORK]["refused_brains"] = _over(is_brain, mean_of(1.0 - accepted))
    methods[NETWORK]["accepted_misfits"] = _over(~is_brain, mean_of(accepted))
    measures = (
        Measure("auc", "AUC, all misfits"),
        *(Measure(_key(what), f"AUC, {what}") for what in kinds),
        Measure("refused_brains", "Brains refused", higher_is_better=False),
        Measure("accepted_misfits", "Misfits accepted", higher_is_better=False),
    )
    cases = tuple(
        Case(f"{trial.patient}, {trial.what}", trial.patient, {method: {"score": score} for method, score in
             trial.scores.items()}, facts={"what": trial.what, "verdict": _verdict(trial.scores[NETWORK])})
        for trial in trials
    )
    errors = Section("What the gate said", _errors_table(trials))
    return Comparison(cases, measures, methods, sections=(errors,))


def _over(counts: NDArray[np.bool_], statistic: Statistic) -> Statistic:
    """Return the statistic over some of the cases only."""
    mask = counts.astype(float)
    return lambda weights: statistic(weights * mask)


def _errors_table(trials: Sequence[Trial]) -> str:
    rows = []
    for what in dict.fromkeys(trial.what for trial in trials):
        scores = np.array([trial.scores[NETWORK] for trial in trials if trial.what == what])
        taken = int((scores >= LEAST_SCORE).sum())
        lowest, middle, highest = (f"{value:.1f}" for value in (scores.min(), np.median(scores), scores.max()))
        rows.append([what, str(len(scores)), str(taken), lowest, middle, highest])
    return table(["Volume", "n", "accepted", "lowest score", "median", "highest"], rows)


def _series_section(judged: Sequence[tuple[RealSeries, Mapping[str, float]]]) -> Section:
    rows = [
        [one.name, one.what, "accept" if one.is_brain else "refuse", _verdict(score), f"{score:.1f}"]
        for one, score in ((one, scores[NETWORK]) for one, scores in judged)
    ]
    return Section("Real series of other scanners", table(["Series", "What it is", "Should", "Did", "Score"], rows))


def _verdict(score: float) -> str:
    return "accept" if score >= LEAST_SCORE else "refuse"


def _key(what: str) -> str:
    return f"auc_{what.replace(' ', '_').replace('-', '_')}"
