"""Tables and numbers as Markdown, for the reports of evaluations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.training.statistics import Estimate

NOTHING = "-"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of cells that are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def show(estimate: Estimate | None, digits: int = 3) -> str:
    """Return a number with its interval, or a dash where there is none."""
    if estimate is None:
        return NOTHING
    return f"{estimate.mean:.{digits}f} [{estimate.low:.{digits}f}, {estimate.high:.{digits}f}]"
