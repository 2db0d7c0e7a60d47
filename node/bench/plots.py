"""Draws a comparison as bars, in SVG, so that a page of figures can be seen at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from node.bench.comparison import OURS, Comparison, Result
from node.bench.run import Outcome, Report

WIDTH, LABELS, VALUES = 860, 270, 130
ROW, BAR, TOP = 30, 16, 44
OWN_COLOUR, OTHER_COLOUR, INK = "#1f77b4", "#9aa4ad", "#282828"


def draw_report(report: Report, folder: Path) -> dict[str, Path]:
    """Write one SVG for each comparison that has peers; return the files by the comparison's title."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {}
    for outcome in report.outcomes:
        for number, comparison in enumerate(outcome.comparisons, start=1):
            if len(comparison.results) > 1:
                files[comparison.title] = folder / _file_name(outcome, number)
                files[comparison.title].write_text(draw_comparison(comparison))
    return files


def draw_comparison(comparison: Comparison) -> str:
    """Return an SVG with a bar for the median seconds of each way, and a line from the least to the greatest."""
    longest = max(result.seconds.greatest for result in comparison.results)
    height = TOP + ROW * len(comparison.results) + 10
    font = f'font-family="sans-serif" font-size="13" fill="{INK}"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" {font}>',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="10" y="24" font-size="15">{escape(comparison.title)}: seconds, less is better</text>',
    ]
    for number, result in enumerate(comparison.results):
        lines += _bar(result, TOP + ROW * number, (WIDTH - LABELS - VALUES) / longest)
    return "\n".join([*lines, "</svg>", ""])


def _bar(result: Result, top: int, scale: float) -> Iterator[str]:
    """Yield name, bar, range and value of one way; `scale` is the width of one second."""
    middle = top + BAR / 2
    seconds = result.seconds
    colour = OWN_COLOUR if result.way == OURS else OTHER_COLOUR
    least, greatest = LABELS + seconds.least * scale, LABELS + seconds.greatest * scale
    yield f'<text x="{LABELS - 8}" y="{middle + 5}" text-anchor="end">{escape(result.way)}</text>'
    yield f'<rect x="{LABELS}" y="{top}" width="{seconds.median * scale:.1f}" height="{BAR}" fill="{colour}"/>'
    yield f'<path d="M{least:.1f} {middle}H{greatest:.1f}" stroke="{INK}" stroke-width="1.5"/>'
    yield f'<text x="{greatest + 8:.1f}" y="{middle + 5}">{seconds.median:.3g} s</text>'


def _file_name(outcome: Outcome, number: int) -> str:
    return f"{outcome.name}-{number}.svg"
