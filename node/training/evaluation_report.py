"""Writes an evaluation for people (`evaluation.md`) and for programs (`evaluation.json`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from node.training.evaluation import NETWORK, Case, Evaluation, as_numbers
from node.training.scores import DRAWS, MEASURES, Estimate

WORST = 5


@dataclass(frozen=True)
class Circumstances:
    """What was evaluated, on what and when: the head of the report."""

    model: str
    weights_sha256: str
    data: str
    split: str
    day: date


def write_evaluation(evaluation: Evaluation, circumstances: Circumstances, folder: Path) -> Path:
    """Write both files into the folder, and return the path of the one for people."""
    folder.mkdir(parents=True, exist_ok=True)
    report = folder / "evaluation.md"
    report.write_text(_report(evaluation, circumstances), encoding="utf-8")
    numbers = _numbers(evaluation, circumstances)
    (folder / "evaluation.json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    return report


def _numbers(evaluation: Evaluation, circumstances: Circumstances) -> dict[str, object]:
    return {
        **asdict(circumstances),
        "day": circumstances.day.isoformat(),
        "all": as_numbers(evaluation),
        "subsets": {name: as_numbers(part) for name, part in evaluation.subsets().items()},
        "cases": [
            {
                "name": case.sample.name,
                "patient": case.sample.patient,
                "view": case.sample.view,
                "group": case.sample.group,
                **{method: asdict(scores) for method, scores in case.scores.items()},
            }
            for case in evaluation.cases
        ],
    }


def _report(evaluation: Evaluation, circumstances: Circumstances) -> str:
    blocks = [
        f"# {circumstances.model}: evaluation on the {circumstances.split} split",
        _preamble(evaluation, circumstances),
        _methods_table(evaluation),
        "\n".join(
            f"Gain in Dice over {name.replace('_', ' ')}, paired: {_show(evaluation.gain(name, 'dice'))}."
            for name in evaluation.baselines
        ),
        "## Parts",
        _subsets_table(evaluation),
        "## Lowest Dice",
        _cases_table(evaluation.worst(WORST)),
    ]
    return "\n\n".join(blocks) + "\n"


def _preamble(evaluation: Evaluation, circumstances: Circumstances) -> str:
    return (
        f"{len(evaluation.cases)} pictures of {evaluation.patients} patients from {circumstances.data}, "
        f"{circumstances.day.isoformat()}; weights {circumstances.weights_sha256[:12]}. Means over pictures "
        f"with 95 % intervals from {DRAWS:,} bootstrap draws of patients, on the grid of each picture; "
        "pixels marked Ignore do not count."
    )


def _methods_table(evaluation: Evaluation) -> str:
    rows = [
        [method.replace("_", " "), *(_show(evaluation.estimate(method, measure)) for measure in MEASURES)]
        for method in evaluation.methods
    ]
    return _table(["Method", "Dice", "IoU", "Recall", "Precision"], rows)


def _subsets_table(evaluation: Evaluation) -> str:
    rows = [
        [name, str(len(part.cases)), *(_show(part.estimate(NETWORK, measure)) for measure in MEASURES)]
        for name, part in evaluation.subsets().items()
    ]
    return _table(["Part", "n", "Dice", "IoU", "Recall", "Precision"], rows)


def _cases_table(cases: Iterable[Case]) -> str:
    rows = [
        [
            case.sample.name,
            case.sample.view,
            case.sample.group,
            *(f"{getattr(case.scores[NETWORK], measure):.3f}" for measure in MEASURES),
        ]
        for case in cases
    ]
    return _table(["Picture", "View", "Group", "Dice", "IoU", "Recall", "Precision"], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _show(estimate: Estimate) -> str:
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
