"""How this model is scored: on drawn scans it has not seen, and on the marked lesions of real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from node.imaging.volume import Volume
from node.training.comparison import NETWORK, Case, Comparison, Measure, Section
from node.training.evaluation_report import circumstances_of, write_evaluation
from node.training.samples import Split
from node.vocabulary import Pixels

from .architecture import build
from .candidates import Spot, find_candidates
from .classical import classical_candidates
from .froc import RATES, ScanResult, match, mean_sensitivity, score_at, sensitivity_at
from .preprocess import join, prepare, search_region
from .real_report import real_section
from .real_series import read_real_series
from .report import LEAST_SCORE
from .scans import draw_scan
from .train import LEFT_OUT, TRAINING

# Made-up patients of whole scans: other numbers, and so others, than those that windows are drawn from.
SCANS = {
    Split.TRAIN: range(TRAINING.stop, TRAINING.stop + 2),
    Split.VALIDATION: range(2500, 2506),
    Split.TEST: range(3000, 3012),
}

CLASSICAL = "dot_filter"
AT_ONCE = 8
_HERE = Path(__file__).resolve().parent
MEASURES = (
    Measure("mean_sensitivity", "Mean sensitivity"),
    *(Measure(f"sensitivity_at_{rate:g}", f"Sensitivity at {rate:g} false per scan") for rate in RATES),
)

FindNodules = Callable[[Volume], Sequence[Spot]]
Predict = Callable[[Pixels], Pixels]


@dataclass(frozen=True)
class Scored:
    """One drawn scan and how each method did on it."""

    patient: int
    slice_mm: float
    results: Mapping[str, ScanResult]


def evaluate(data: Path, weights: Path, split: Split, day: date) -> Path:
    """Score the weights and the dot filter on one split of drawn scans, and report beside the weights.

    On the test split the real series below `data` are analysed too, each by weights that have never seen
    its patient: those that lie beside `weights`, or else those of this folder.
    """
    methods = _methods(weights)
    scored = [_score_scan(patient, methods) for patient in SCANS[split]]
    sections = [_thresholds(scored)]
    if split is Split.TEST:
        sections += _real_sections(data, weights.parent)
    circumstances = circumstances_of("chest_ct_nodule", weights, Path("drawn scans"), split.value, day)
    return write_evaluation(_compare(scored, tuple(sections)), circumstances, weights.parent)


def load_network(weights: Path) -> Predict:
    """Return a function that gives the probability of nodule for a batch, a few cubes at a time."""
    network = build()
    network.load_weights(weights)

    def predict(batch: Pixels) -> Pixels:
        parts = [batch[start : start + AT_ONCE] for start in range(0, len(batch), AT_ONCE)]
        return np.concatenate([np.asarray(network(part, training=False)) for part in parts])

    return predict


def network_candidates(predict: Predict) -> FindNodules:
    """Return a function that gives all candidates of the network, also those too unlikely to be reported."""

    def find(volume: Volume) -> Sequence[Spot]:
        region, grid = search_region(volume)
        return find_candidates(join(predict(prepare(volume)), region), region, grid)

    return find


def _methods(weights: Path) -> dict[str, FindNodules]:
    return {NETWORK: network_candidates(load_network(weights)), CLASSICAL: classical_candidates}


def _score_scan(patient: int, methods: Mapping[str, FindNodules]) -> Scored:
    scan = draw_scan(patient)
    results = {name: match(scan.targets, find(scan.volume)) for name, find in methods.items()}
    return Scored(patient, scan.volume.grid.spacing_mm[0], results)


def _compare(scored: list[Scored], sections: tuple[Section, ...]) -> Comparison:
    methods = {}
    for method in scored[0].results:
        results = [one.results[method] for one in scored]
        methods[method] = {"mean_sensitivity": mean_sensitivity(results)} | {
            f"sensitivity_at_{rate:g}": sensitivity_at(results, rate) for rate in RATES
        }
    return Comparison(tuple(_case(one) for one in scored), MEASURES, methods, sections=sections)


def _case(scored: Scored) -> Case:
    """Return one scan: nodules in it, and how many each method found and how many false ones at the least score."""
    scores = {
        method: {
            "found": float((result.hits >= LEAST_SCORE).sum()),
            "false": float((result.false_scores >= LEAST_SCORE).sum()),
        }
        for method, result in scored.results.items()
    }
    nodules = len(scored.results[NETWORK].hits)
    facts = {"nodules": str(nodules), "slice_mm": f"{scored.slice_mm:g}"}
    groups = ("slices up to 2.5 mm" if scored.slice_mm <= 2.5 else "slices above 2.5 mm",)
    return Case(f"drawn scan {scored.patient}", str(scored.patient), scores, groups, facts)


def _thresholds(scored: list[Scored]) -> Section:
    """Return which score has how many false candidates, from which the least score to report is chosen."""
    results = [one.results[NETWORK] for one in scored]
    nodules = sum(len(result.hits) for result in results)
    found = sum(int((result.hits >= LEAST_SCORE).sum()) for result in results)
    wrong = sum(int((result.false_scores >= LEAST_SCORE).sum()) for result in results)
    lines = [f"- {rate:g} false candidates per scan: score above {score_at(results, rate):.3f}" for rate in RATES]
    reported = (
        f"At the least score that the model reports, {LEAST_SCORE:.2f}: {found} of {nodules} nodules found, "
        f"{wrong / len(scored):.2f} false candidates per scan."
    )
    return Section("Scores of the network", "\n".join(lines) + f"\n\n{reported}")


def _real_sections(data: Path, folder: Path) -> list[Section]:
    """Return what is found in real series for whose patients there are weights that never saw them."""
    sections = []
    for series in read_real_series(data):
        name = LEFT_OUT.format(patient=series.patient)
        weights = next((place / name for place in (folder, _HERE) if (place / name).is_file()), None)
        if weights is not None:
            found = {name: find(series.volume) for name, find in _methods(weights).items()}
            sections.append(real_section(series, found))
    return sections
