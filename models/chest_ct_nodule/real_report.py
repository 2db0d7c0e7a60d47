"""Tells what each method found in a real series: whether it hit the marked lesion, and what else it took for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from node.imaging.volume import Volume
from node.training.comparison import Section
from node.training.markdown import table

from .candidates import Spot
from .real_series import Lesion, RealSeries

SHOWN = 12
HEAD = ["Rank", "Score", "Diameter mm", "Slice", "Row", "Column", "Lesion"]


def real_section(series: RealSeries, found: Mapping[str, Sequence[Spot]]) -> Section:
    """Return the candidates of all methods in one series as tables, the most likely first."""
    blocks = []
    for method, candidates in found.items():
        ranked = sorted(candidates, key=lambda candidate: -candidate.score)
        rank = first_hit(ranked, series)
        verdict = f"found at rank {rank}" if rank else "not found"
        rows = [_row(number, candidate, series) for number, candidate in enumerate(ranked[:SHOWN], start=1)]
        name = method.replace("_", " ")
        summary = f"{name}: the {series.lesion.name} is {verdict} of {len(ranked)} candidates."
        blocks.append(f"{summary}\n\n{table(HEAD, rows)}")
    return Section(f"Real series of {series.patient}, by weights that never saw it", "\n\n".join(blocks))


def first_hit(ranked: Sequence[Spot], series: RealSeries) -> int | None:
    """Return the rank, from 1, of the first candidate whose middle lies in the box of the lesion; None if none does."""
    hits = (rank for rank, one in enumerate(ranked, start=1) if is_inside(one, series.lesion, series.volume))
    return next(hits, None)


def is_inside(candidate: Spot, lesion: Lesion, volume: Volume) -> bool:
    """Say whether a candidate's middle lies in the box of a lesion."""
    at = volume.grid.index_of(candidate.middle_mm)
    return bool(np.all(at >= np.array(lesion.first) - 0.5) and np.all(at <= np.array(lesion.last) + 0.5))


def _row(number: int, candidate: Spot, series: RealSeries) -> list[str]:
    place = [str(round(float(index))) for index in series.volume.grid.index_of(candidate.middle_mm)]
    hit = "hit" if is_inside(candidate, series.lesion, series.volume) else ""
    return [str(number), f"{candidate.score:.3f}", f"{candidate.diameter_mm:.1f}", *place, hit]
