"""Writes the page of figures, docs/performance.md: the machine, who took part, the tables and the plots."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from node.bench.comparison import PARITY, Comparison
from node.bench.run import Outcome, Report
from node.bench.show import COLUMNS, rows_of

BEGIN, END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"
BUSY = 0.5  # of the cores, taken by others before the run
_TITLE = "# Performance\n\nWhat is below these lines is written by `make bench`.\n\n"
_HEADINGS = ("way", "seconds: median (range)", "rate", "CPU s", "memory, MiB", "radnode is faster by", "and")


def write_page(report: Report, file: Path, plots: Mapping[str, Path]) -> None:
    """Write the figures to a page, in place of those it has; what else stands there stays. `plots` go by title."""
    links = {title: Path(os.path.relpath(plot, file.parent)) for title, plot in plots.items()}
    figures = "\n".join([BEGIN, "", *_lines(report, links), END])
    page = file.read_text() if file.exists() else f"{_TITLE}{BEGIN}{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(before + figures + (after or "\n"))


def _lines(report: Report, links: Mapping[str, Path]) -> Iterator[str]:
    machine = report.machine
    yield (
        f"Measured on {report.made_at:%Y-%m-%d %H:%M} UTC with `radnode bench`: {machine.processor}, {machine.cores} "
        f"cores, {machine.memory_gib} GiB, {machine.system}, {machine.disk}, Python {machine.python}; load before the "
        f"run {machine.load}."
    )
    if machine.load > BUSY * machine.cores:
        yield "**The machine was busy with other work: take the ratios with care, and the seconds not at all.**"
    yield (
        f"\nEach way had its turn in each of {report.rounds} interleaved rounds, after one that is not counted where "
        f"there are several. Ratios are the medians, with their range, of the rounds' ratios; less than {PARITY} "
        "either way is called parity. CPU seconds and growth of memory are those of the process under test with all "
        "it starts; receivers are watched from outside. Peers have TCP_NODELAY=1 where it says so.\n"
    )
    if report.is_quick:
        yield "**Small amounts (`--quick`): this shows that it runs, not how fast anything is.**\n"
    for outcome in report.outcomes:
        yield from _outcome(outcome, links)


def _outcome(outcome: Outcome, links: Mapping[str, Path]) -> Iterator[str]:
    yield f"## {outcome.name.capitalize()}\n\n{outcome.about}\n"
    yield from (f"- {name} {version}" for name, version in outcome.versions.items())
    yield from (f"- {name}: not found" for name in outcome.missing)
    yield ""
    for comparison in outcome.comparisons:
        yield from _table(comparison)
        if comparison.title in links:
            yield f"![{comparison.title}]({links[comparison.title].as_posix()})\n"


def _table(comparison: Comparison) -> Iterator[str]:
    yield f"### {comparison.title[0].upper()}{comparison.title[1:]}\n"
    yield f"| {' | '.join(_HEADINGS)} |"
    yield "|" + " --- |" * len(_HEADINGS)
    for row in rows_of(comparison):
        yield f"| {' | '.join(str(row[column]) for column in COLUMNS)} |"
    yield ""
    yield from (f"Failed: {failure}\n" for failure in comparison.failures)
