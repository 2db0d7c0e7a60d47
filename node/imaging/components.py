"""Separates a mask into its connected areas.

In runs of pixels, as ITK does it, and to the same areas in the same order; but most models ask nothing else of
SimpleITK, which takes more memory than their networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask

Numbers = NDArray[np.int64]
Pairs = tuple[Numbers, Numbers]


def largest_components(mask: Mask, most: int, least_pixels: int) -> list[Mask]:
    """Return up to `most` connected areas of at least `least_pixels`, the largest first.

    Pixels that touch only at a corner are connected; of areas of one size, that comes first whose first pixel does.
    The masks lie on the grid of `mask`, which may have any number of axes.
    """
    runs = _runs(mask)
    areas = _joined(len(runs.starts), _touching(runs))
    sizes = np.bincount(areas, runs.lengths, len(areas))
    ranked = np.argsort(-sizes, kind="stable")[:most]
    return [_drawn(mask, areas == area, runs) for area in ranked if sizes[area] >= max(1, least_pixels)]


@dataclass(frozen=True)
class _Runs:
    """Where runs of pixels along the last axis start and stop, counted through the mask with a margin of one pixel.

    `ways` are the distances to the lines before that touch a line.
    """

    starts: Numbers
    stops: Numbers
    ways: tuple[int, ...]

    @property
    def lengths(self) -> Numbers:
        return self.stops - self.starts


def _runs(mask: Mask) -> _Runs:
    framed = np.ascontiguousarray(np.pad(mask, 1))  # a byte each, so that strides count pixels
    flat = framed.ravel()
    ends = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    ways = (int(np.dot(way, framed.strides[:-1])) for way in product((-1, 0, 1), repeat=mask.ndim - 1))
    return _Runs(ends[::2].copy(), ends[1::2].copy(), tuple(way for way in ways if way < 0))


def _touching(runs: _Runs) -> Iterator[Pairs]:
    """Yield the numbers of runs that touch: for each way to a line before, those here and those there."""
    for way in runs.ways:
        first = np.searchsorted(runs.stops, runs.starts + way)
        counts = np.searchsorted(runs.starts, runs.stops + way, "right") - first
        here = np.repeat(np.arange(len(first)), counts)
        yield here, np.arange(len(here)) - np.repeat(np.cumsum(counts) - counts - first, counts)


def _joined(count: int, touching: Iterable[Pairs]) -> Numbers:
    """Return for each run the number of the first of those that it is connected with."""
    firsts = np.arange(count)
    for pairs in touching:
        ones, others = firsts[pairs[0]], firsts[pairs[1]]
        while (apart := ones != others).any():
            ones, others = ones[apart], others[apart]
            np.minimum.at(firsts, np.maximum(ones, others), np.minimum(ones, others))
            firsts = _followed(firsts)
            ones, others = firsts[ones], firsts[others]
    return firsts


def _followed(firsts: Numbers) -> Numbers:
    """Return where each number leads to at last."""
    while not np.array_equal(firsts, further := firsts[firsts]):
        firsts = further
    return firsts


def _drawn(mask: Mask, is_here: NDArray[np.bool_], runs: _Runs) -> Mask:
    """Return the pixels of some of the runs as a mask."""
    area = np.zeros(mask.shape, np.bool_)
    area[mask] = np.repeat(is_here, runs.lengths)
    return area
