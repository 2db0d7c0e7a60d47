"""Requests for maps, finer volumes and candidates of made-up series."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from results.lung_requests import finding
from results.volume_requests import volume_request
from volumes import mr_study

from node.imaging.measure import measure_diameter, measure_score, measure_volume
from node.imaging.regrid import resample_volume
from node.imaging.series import read_volume
from node.imaging.volume import Volume, grid_with_spacing
from node.results.request import ResultRequest
from node.vocabulary import Finding, Mask, Measurement, QuantityMap, Refinement

ERROR = Code("RECONERR", "99RADNODE", "Reconstruction error")
ARBITRARY = Code("[arb'U]", "UCUM", "arbitrary unit")
FACTORS = (4, 2, 1)


def small_mr(**facts: Any) -> list[Dataset]:
    """Return six thick MR slices in an oblique plane, with pixel data."""
    values: dict[str, Any] = {"slices": 6, "spacing": (5.0, 1.5, 1.0), "orientation": "oblique"}
    return mr_study(**(values | facts))


def map_request(sources: Sequence[Dataset], count: int = 1, **facts: Any) -> ResultRequest:
    """Return a request with maps of made-up errors, the second ten times the first."""
    made = volume_request(sources, [], **facts)
    values = np.random.default_rng(4).random(made.mask_shape, np.float32)
    maps = [QuantityMap(f"error_{n}", "Reconstruction error", ERROR, ARBITRARY, values * 10**n) for n in range(count)]
    return volume_request(sources, [], maps=tuple(maps), **facts)


def refined(sources: Sequence[Dataset], factors: tuple[int, int, int] = FACTORS) -> Volume:
    """Return the volume of the sources on a finer grid over the same box, interpolated."""
    volume = read_volume(sources)
    slice_mm, row_mm, column_mm = volume.grid.spacing_mm
    finer = (slice_mm / factors[0], row_mm / factors[1], column_mm / factors[2])
    return resample_volume(volume, grid_with_spacing(volume.grid, finer))


def refinement_request(sources: Sequence[Dataset], voxels: Any = None, **facts: Any) -> ResultRequest:
    """Return a request with one finer volume: the interpolated one, or these voxels."""
    if voxels is None:
        voxels = refined(sources).voxels.astype(np.float32)
    finer = Refinement("finer", "Finer volume", voxels, FACTORS)
    return volume_request(sources, [], refinements=(finer,), **facts)


def candidate_request(sources: Sequence[Dataset]) -> ResultRequest:
    """Return a lung and two candidates, of which one lies in it and the other in nothing."""
    volume = read_volume(sources)
    lung, inside, outside = (np.zeros(volume.grid.shape, bool) for _ in range(3))
    lung[:, 2:20, 2:16] = True
    inside[1, 6:9, 5:8], inside[2, 5:11, 4:9], inside[3, 7, 6] = True, True, True
    outside[4, 10:13, 20:26] = True
    outside[4, 18:20, 20:22] = True
    found = [finding(lung, "right", is_measured=False)]
    found += [_candidate(mask, score, volume) for mask, score in ((inside, 0.9), (outside, 0.4))]
    return volume_request(sources, found)


def _candidate(mask: Mask, score: float, volume: Volume) -> Finding:
    measured = (measure_volume(mask, volume), measure_diameter(mask, volume), measure_score(score))
    return Finding(
        name="nodule",
        label="Nodule candidate",
        category=codes.SCT.MorphologicallyAbnormalStructure,
        property_type=codes.SCT.Nodule,
        modifier=None,
        colour_rgb=(230, 60, 60),
        mask=mask,
        measurements=tuple(one for one in measured if isinstance(one, Measurement)),
    )
