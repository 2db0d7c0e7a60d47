"""Writes the page of figures, docs/performance.md: the machine, who took part, the tables and the plots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.bench.comparison import PARITY, Comparison
from node.bench.environments import how_to_make
from node.bench.run import Outcome, Report
from node.bench.show import COLUMNS, rows_of

BUSY = 0.5  # of the cores, taken by others before the run
_TITLE = """# Performance

`make bench` writes the sections below, `radnode bench NAME --page docs/performance.md` one of them; what is written
outside of them stays.
"""
_HEADINGS = ("way", "seconds: median (range)", "rate", "CPU s", "memory, MiB", "radnode is faster by", "and")


def write_page(report: Report, file: Path, plots: Mapping[str, Path]) -> None:
    """Write a section for each benchmark to a page, in place of the one it has; what else stands there stays.

    `plots` go by the title of their comparison.
    """
    links = {title: Path(os.path.relpath(plot, file.parent)) for title, plot in plots.items()}
    page = file.read_text() if file.exists() else _TITLE
    for outcome in report.outcomes:
        begin, end = f"<!-- {outcome.name}: written by `radnode bench` -->", f"<!-- end of {outcome.name} -->"
        section = "\n".join([begin, "", *_section(report, outcome, links), end])
        if begin not in page:
            page += f"\n{begin}{end}\n"
        before, _, rest = page.partition(begin)
        page = before + section + rest.partition(end)[2]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(page)


def _section(report: Report, outcome: Outcome, links: Mapping[str, Path]) -> Iterator[str]:
    yield f"## {outcome.name.capitalize()}\n\n{outcome.about}\n"
    yield from (f"- {name} {version}" for name, version in outcome.versions.items())
    yield from (f"- {name}: not found{how_to_make(name)}" for name in outcome.missing)
    yield ""
    yield from _circumstances(report, outcome)
    for comparison in outcome.comparisons:
        yield from _table(comparison)
        if comparison.title in links:
            yield f"![{comparison.title}]({links[comparison.title].as_posix()})\n"


def _circumstances(report: Report, outcome: Outcome) -> Iterator[str]:
    """Say where, when and how the figures came about, and what they are worth."""
    machine = outcome.machine
    yield (
        f"Measured on {outcome.made_at:%Y-%m-%d %H:%M} UTC: {machine.processor}, {machine.cores} cores, "
        f"{machine.memory_gib} GiB, {machine.system}, {machine.disk}, Python {machine.python}; load before the run "
        f"{machine.load}; {report.rounds} interleaved rounds{', after one not counted' if report.rounds > 1 else ''}. "
        f"Ratios are medians over the rounds with their range, and parity below {PARITY} either way. CPU seconds and "
        "growth of memory are those of the process under test and all it starts. Before each turn a cached file took "
        "what memory was free.\n"
    )
    if machine.load > BUSY * machine.cores:
        yield "**The machine was busy with other work: take the ratios with care, and the seconds not at all.**\n"
    if report.is_quick:
        yield "**Small amounts (`--quick`): this shows that it runs, not how fast anything is.**\n"


def _table(comparison: Comparison) -> Iterator[str]:
    yield f"### {comparison.title[0].upper()}{comparison.title[1:]}\n"
    yield f"| {' | '.join(_HEADINGS)} |"
    yield "|" + " --- |" * len(_HEADINGS)
    for row in rows_of(comparison):
        yield f"| {' | '.join(str(row[column]) for column in COLUMNS)} |"
    yield ""
    yield from (f"Failed: {failure}\n" for failure in comparison.failures)
