"""Says which candidates are told of, and outlines them on the voxels of the series."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from node.imaging.regrid import mask_to_grid
from node.imaging.volume import Grid, Volume
from node.vocabulary import Interpretation, Mask, Region

from .candidates import Candidate

# The score at which a drawn chest of the validation split has one false candidate on average.
LEAST_SCORE = 0.68
MOST = 20
THICK_MM = 2.6

NOTHING = "No nodule candidate reaches a score of {least:.2f}; this does not exclude nodules."
MORE = "Of {found} nodule candidates only the {most} with the highest scores are given."
EXPERIMENTAL = "Candidates come from a network that learned from drawn nodules; most of them may be no nodules."
THICK = "Slices lie {step:.1f} mm apart, so nodules of less than about {least:.0f} mm may be missed."


def describe_candidates(candidates: Sequence[Candidate], grid: Grid, volume: Volume) -> Interpretation:
    """Return the candidates that `find_candidates` gave on `grid` and that reach the least score, with remarks."""
    likely = [candidate for candidate in candidates if candidate.score >= LEAST_SCORE]
    regions = tuple(
        Region("nodule", outline(candidate, grid, volume), candidate.score) for candidate in likely[:MOST]
    )
    remarks = [EXPERIMENTAL] if regions else [NOTHING.format(least=LEAST_SCORE)]
    if len(likely) > MOST:
        remarks.append(MORE.format(found=len(likely), most=MOST))
    step = max(volume.grid.spacing_mm)
    if step > THICK_MM:
        remarks.append(THICK.format(step=step, least=1.5 * step))
    return Interpretation(regions=regions, remarks=tuple(remarks))


def outline(candidate: Candidate, grid: Grid, volume: Volume) -> Mask:
    """Return a candidate's mask, given on `grid`, on the voxels of the volume: at least the voxel at its middle."""
    whole = np.zeros(volume.grid.shape, np.bool_)
    cut = _reach(candidate, grid, volume.grid)
    padded = np.pad(candidate.mask, 1)
    start = (candidate.first[0] - 1, candidate.first[1] - 1, candidate.first[2] - 1)
    whole[cut] = mask_to_grid(padded, _part(grid, start, padded.shape), _part_of(volume.grid, cut))
    if not whole.any():
        middle = np.rint(volume.grid.index_of(candidate.middle_mm)).astype(int)
        whole[tuple(np.clip(middle, 0, np.array(whole.shape) - 1))] = True
    return whole


def _reach(candidate: Candidate, grid: Grid, target: Grid) -> tuple[slice, slice, slice]:
    """Return the voxels of `target` that a candidate on `grid` may touch."""
    low = np.array(candidate.first) - 1.0
    high = low + np.array(candidate.mask.shape) + 1.0
    corners = [(a, b, c) for a in (low[0], high[0]) for b in (low[1], high[1]) for c in (low[2], high[2])]
    found = np.array([target.index_of(grid.position_mm(corner)) for corner in corners])
    starts = np.clip(np.floor(found.min(axis=0)).astype(int), 0, np.array(target.shape) - 1)
    ends = np.clip(np.ceil(found.max(axis=0)).astype(int) + 1, starts + 1, np.array(target.shape))
    cuts = [slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)]
    return cuts[0], cuts[1], cuts[2]


def _part_of(grid: Grid, cut: tuple[slice, slice, slice]) -> Grid:
    start = (cut[0].start, cut[1].start, cut[2].start)
    return _part(grid, start, tuple(part.stop - part.start for part in cut))


def _part(grid: Grid, start: tuple[int, int, int], shape: tuple[int, ...]) -> Grid:
    """Return the grid of some of the voxels, or beyond, from `start` on."""
    origin = grid.position_mm((float(start[0]), float(start[1]), float(start[2])))
    return Grid((shape[0], shape[1], shape[2]), tuple(origin.tolist()), grid.steps_mm)
