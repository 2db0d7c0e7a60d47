"""Finds room for a drawn nodule in a lung and lets its tissue displace the air there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from node.vocabulary import Mask

from .nodules import Nodule
from .tissue import Field

Cut = tuple[slice, slice, slice]
LEAST_SHARE = 0.35  # of a nodule's body that must lie in the lung


@dataclass(frozen=True)
class Placed:
    """A nodule in a lung: the cut of the voxels around it and, for those, what `Nodule` says, less what is no lung."""

    cut: Cut
    share: Field
    tissue_hu: float
    body: Mask


def place(nodule: Nodule, lungs: Mask, centre: tuple[int, int, int]) -> Placed | None:
    """Return the nodule around a voxel, cut where the lungs end, or None if most of it would lie elsewhere."""
    cut, part = _overlap(lungs.shape, nodule.share.shape, centre)
    inside = lungs[cut]
    body = nodule.body[part] & inside
    if body.sum() < LEAST_SHARE * nodule.body.sum():
        return None
    return Placed(cut, nodule.share[part] * inside, nodule.tissue_hu, body)


def displace(hu: Field, placed: Placed, share: Field) -> None:
    """Let tissue displace what is lighter than it in a share of each voxel of the cut."""
    here = hu[placed.cut]
    here += share * np.maximum(placed.tissue_hu - here, 0.0)


def _overlap(shape: tuple[int, ...], cube: tuple[int, ...], centre: tuple[int, int, int]) -> tuple[Cut, Cut]:
    """Return what a cube around a voxel covers, counted in the volume and counted in the cube."""
    outer, inner = [], []
    for count, size, middle in zip(shape, cube, centre, strict=True):
        first = middle - size // 2
        low, high = max(0, first), min(count, first + size)
        outer.append(slice(low, high))
        inner.append(slice(low - first, high - first))
    return (outer[0], outer[1], outer[2]), (inner[0], inner[1], inner[2])
