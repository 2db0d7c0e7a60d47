"""Makes a mean head with the zones of its tissues from T1 volumes and their labels: what `head_template` reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.alignment import Alignment, Template, align_head, head_place_mm, resample_aligned, scale_grey
from node.imaging.head_template import (
    COMPARED,
    CSF,
    GREY,
    NEAR,
    TEMPLATE_FILE,
    WHITE,
    WHITE_MATTER,
    ZONES_FILE,
    compared_mask,
)
from node.imaging.itk import to_image
from node.imaging.volume import Grid, Volume
from node.vocabulary import Mask, Pixels

# Both grids have the same box about the patient's origin, large enough for a head above the chin.
MEAN_GRID = Grid((42, 52, 42), (-82.0, -102.0, -82.0), ((0.0, 0.0, 4.0), (0.0, 4.0, 0.0), (4.0, 0.0, 0.0)))
ZONES_GRID = Grid((84, 104, 84), (-83.0, -103.0, -83.0), ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
TOP_OF_HEAD_MM = (0.0, 6.0, 76.0)
ROUNDS = 2
BRAIN_SHARE = 0.5
NEAR_MM, COMPARED_MM = 16, 24
# How often a voxel must be a tissue to belong to its zone.
SURE = {CSF: 0.75, GREY: 0.75, WHITE_MATTER: 0.90}


@dataclass(frozen=True)
class LabelledHead:
    """A T1 volume, and its labels on the same grid: 1 CSF, 2 grey matter, 3 white matter."""

    volume: Volume
    labels: NDArray[np.integer]


def make_mean_head(heads: Sequence[LabelledHead], folder: Path) -> None:
    """Write the mean head and its zones into `folder`; heads are laid over their own mean again and again.

    The first mean has the tops of the heads in one place; each head is then fitted by an affine map.
    """
    ways = [_by_the_top(head.volume) for head in heads]
    for _ in range(ROUNDS):
        template = _template(heads, ways)
        found = [align_head(head.volume, template) for head in heads]
        ways = [new if new.is_plausible else old for new, old in zip(found, ways, strict=True)]
    mean = _template(heads, ways).voxels
    _write(np.clip(np.rint(mean * WHITE), 0, 255), MEAN_GRID, folder / TEMPLATE_FILE)
    _write(_zones(_shares(heads, ways)), ZONES_GRID, folder / ZONES_FILE)


def _template(heads: Sequence[LabelledHead], ways: Sequence[Alignment]) -> Template:
    """Return the mean of the heads as they lie now, compared where their brains are or near them."""
    mean = _mean([scale_grey(head.volume) for head in heads], heads, ways, MEAN_GRID)
    return Template(mean, MEAN_GRID, compared_mask(_zones(_shares(heads, ways))))


def _shares(heads: Sequence[LabelledHead], ways: Sequence[Alignment]) -> dict[int, Pixels]:
    """Return how often each voxel is each tissue."""
    return {
        tissue: _mean([(head.labels == number).astype(np.float32) for head in heads], heads, ways, ZONES_GRID)
        for number, tissue in enumerate((CSF, GREY, WHITE_MATTER), start=1)
    }


def _by_the_top(volume: Volume) -> Alignment:
    """Return the shift that brings the top of the head to its place on the grids."""
    place = head_place_mm(scale_grey(volume), volume.grid)
    return Alignment(np.eye(3), place - np.array(TOP_OF_HEAD_MM), 0.0)


def _mean(values: Sequence[Pixels], heads: Sequence[LabelledHead], ways: Sequence[Alignment], onto: Grid) -> Pixels:
    laid = (
        resample_aligned(one, head.volume.grid, way, onto) for one, head, way in zip(values, heads, ways, strict=True)
    )
    return np.asarray(sum(laid) / len(heads), np.float32)


def _zones(shares: dict[int, Pixels]) -> NDArray[np.uint8]:
    brain = np.asarray(sum(shares.values()) > BRAIN_SHARE)
    zones = np.zeros(brain.shape, np.uint8)
    zones[_grown(brain, COMPARED_MM)] = COMPARED
    zones[_grown(brain, NEAR_MM)] = NEAR
    for tissue, share in shares.items():
        zones[share > SURE[tissue]] = tissue
    return zones


def _grown(mask: Mask, by_mm: int) -> Mask:
    radius = by_mm // 2
    grown = SimpleITK.BinaryDilate(SimpleITK.GetImageFromArray(mask.astype(np.uint8)), [radius] * 3)
    return np.asarray(SimpleITK.GetArrayFromImage(grown) > 0)


def _write(values: NDArray[np.generic], grid: Grid, path: Path) -> None:
    SimpleITK.WriteImage(to_image(values.astype(np.uint8), grid), str(path), useCompression=True)
