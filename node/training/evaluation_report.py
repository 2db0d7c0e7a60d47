"""Writes an evaluation for people (`evaluation.md`) and for programs (`evaluation.json`)."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from node.training.comparison import NETWORK, Case, Comparison
from node.training.learning_curves import draw_curves_of_run
from node.training.markdown import NOTHING, show, table
from node.training.options import SERVED
from node.training.run_record import variant_of
from node.training.statistics import DRAWS

WORST = 5
CURVES_CAPTION = "Loss and scores of every epoch, on what the network learnt from and on the validation split."
CLOSING = "Gains are the network less the baseline, or the reverse where lower is better, paired by case."


@dataclass(frozen=True)
class Circumstances:
    """What was evaluated, on what and when: the head of the report."""

    model: str
    weights_sha256: str
    data: str
    split: str
    day: date
    variant: str = SERVED


@dataclass(frozen=True)
class Illustration:
    """A picture that lies beside the report, and what it shows."""

    file: str
    caption: str


def circumstances_of(model: str, weights: Path, data: Path, split: str, day: date) -> Circumstances:
    """Return the circumstances of an evaluation of this weights file, whose variant its record tells."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    return Circumstances(model, digest, data.name, split, day, variant_of(weights))


def write_evaluation(
    comparison: Comparison,
    circumstances: Circumstances,
    folder: Path,
    illustrations: Sequence[Illustration] = (),
) -> Path:
    """Write both files into the folder, and return the path of the one for people.

    Where the folder holds the epochs of the training, or its curves, these are shown as well.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "evaluation.md"
    curves = draw_curves_of_run(folder)
    shown = [*illustrations, *([Illustration(curves.name, CURVES_CAPTION)] if curves else [])]
    report.write_text(_report(comparison, circumstances, shown), encoding="utf-8")
    numbers = json.dumps(_plain(_numbers(comparison, circumstances)), indent=1, ensure_ascii=False)
    (folder / "evaluation.json").write_text(numbers + "\n", encoding="utf-8")
    return report


def _numbers(comparison: Comparison, circumstances: Circumstances) -> dict[str, object]:
    return {
        **asdict(circumstances),
        "day": circumstances.day.isoformat(),
        "all": comparison.as_numbers(),
        "subsets": {name: part.as_numbers() for name, part in comparison.subsets().items()},
        "cases": [
            {"name": case.name, "patient": case.patient, **case.facts, **case.scores} for case in comparison.cases
        ],
    }


def _plain(value: Any) -> Any:
    """Return the value with null in place of NaN, which JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value


def _report(comparison: Comparison, circumstances: Circumstances, illustrations: Sequence[Illustration]) -> str:
    subsets = comparison.subsets()
    worst = comparison.worst(WORST)
    blocks = [
        f"# {circumstances.model}: evaluation on the {circumstances.split} split",
        _preamble(comparison, circumstances),
        _methods_table(comparison),
        *(["## Gains", CLOSING, _gains_table(comparison)] if comparison.baselines else []),
        *(["## Parts", _subsets_table(comparison, subsets)] if subsets else []),
        *(part for section in comparison.sections for part in (f"## {section.title}", section.text)),
        *(["## Worst", _cases_table(comparison, worst)] if worst else []),
        *(f"![{picture.caption}]({picture.file})\n\n{picture.caption}" for picture in illustrations),
    ]
    return "\n\n".join(blocks) + "\n"


def _preamble(comparison: Comparison, circumstances: Circumstances) -> str:
    variant = "" if circumstances.variant == SERVED else f", variant {circumstances.variant}"
    return (
        f"{len(comparison.cases)} {comparison.noun} of {comparison.patients} patients from {circumstances.data}, "
        f"{circumstances.day.isoformat()}; weights {circumstances.weights_sha256[:12]}{variant}. Numbers over "
        f"{comparison.noun} with 95 % intervals from {DRAWS:,} bootstrap draws of patients."
    )


def _methods_table(comparison: Comparison) -> str:
    """Return a table of methods, turned on its side where there are more measures than fit a page."""
    cells = {
        method: [show(comparison.estimate(method, measure.key), measure.digits) for measure in comparison.measures]
        for method in comparison.methods
    }
    return _methods_by_measures("Method", comparison, cells)


def _gains_table(comparison: Comparison) -> str:
    cells = {
        baseline: [show(comparison.gain(baseline, measure.key), measure.digits) for measure in comparison.measures]
        for baseline in comparison.baselines
    }
    return _methods_by_measures("Over", comparison, cells)


def _methods_by_measures(corner: str, comparison: Comparison, cells: dict[str, list[str]]) -> str:
    titles = [measure.title for measure in comparison.measures]
    names = [name.replace("_", " ") for name in cells]
    if len(titles) <= max(4, len(names)):
        return table([corner, *titles], [[name, *row] for name, row in zip(names, cells.values(), strict=True)])
    rows = [[title, *column] for title, column in zip(titles, zip(*cells.values(), strict=True), strict=True)]
    return table([corner, *names], rows)


def _subsets_table(comparison: Comparison, subsets: dict[str, Comparison]) -> str:
    measures = [measure for measure in comparison.measures if measure.key in comparison.methods[NETWORK]]
    rows = [
        [name, str(len(part.taking_part)), *(show(part.estimate(NETWORK, one.key), one.digits) for one in measures)]
        for name, part in subsets.items()
    ]
    return table(["Part", "n", *(measure.title for measure in measures)], rows)


def _cases_table(comparison: Comparison, cases: Iterable[Case]) -> str:
    facts = list(comparison.cases[0].facts)
    measures = [measure for measure in comparison.measures if measure.key in comparison.cases[0].scores[NETWORK]]
    rows = [
        [
            case.name,
            *(case.facts[fact] for fact in facts),
            *(_number(case.scores[NETWORK].get(measure.key), measure.digits) for measure in measures),
        ]
        for case in cases
    ]
    return table(["Case", *(fact.capitalize() for fact in facts), *(measure.title for measure in measures)], rows)


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"
