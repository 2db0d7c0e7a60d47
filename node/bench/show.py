"""Shows what came of benchmarks: as tables in the terminal, and as JSON for a program."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from node.bench.comparison import Comparison, Result
from node.bench.environments import how_to_make
from node.bench.run import Outcome, Report
from node.display import print_rows

COLUMNS = ("way", "seconds", "rate", "cpu_seconds", "memory_mib", "radnode_is", "facts")


def print_outcome(outcome: Outcome) -> None:
    """Print a table for each comparison, who failed and who was not found."""
    for comparison in outcome.comparisons:
        print_rows(comparison.title, rows_of(comparison), COLUMNS, as_json=False)
        for failure in comparison.failures:
            print(f"failed: {failure}")
    for name in outcome.missing:
        print(f"{outcome.name}: {name} was not found{how_to_make(name)}")


def write_json(report: Report, file: Path) -> None:
    """Write everything that was measured."""
    file.write_text(json.dumps(asdict(report), indent=2, default=str) + "\n")


def rows_of(comparison: Comparison) -> list[dict[str, Any]]:
    """Return one row of texts for each way."""
    return [_row(result, comparison.unit) for result in comparison.results]


def _row(result: Result, unit: str) -> dict[str, Any]:
    seconds = result.seconds
    return {
        "way": result.way,
        "seconds": f"{seconds.median:.3f} ({seconds.least:.3f}-{seconds.greatest:.3f})",
        "rate": f"{result.rate:.4g} {unit}/s",
        "cpu_seconds": f"{result.cpu_seconds:.2f}",
        "memory_mib": f"{result.memory_mib:.0f}",
        "radnode_is": _advantage(result),
        "facts": ", ".join(f"{key.replace('_', ' ')} {_text(value)}" for key, value in result.facts.items()),
    }


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.4g}"


def _advantage(result: Result) -> str:
    """Say how many times faster the node was, with the range over the rounds."""
    if result.advantage is None:
        return ""
    spread = result.advantage
    return f"{spread.median:.2f}x ({spread.least:.2f}-{spread.greatest:.2f}), {result.verdict}"
