"""From a probability map to two lungs: what belongs to them, which is right and which is left, and if not, why."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.imaging.regrid import Sampling, resample_values
from node.imaging.volume import Grid, Volume
from node.vocabulary import Interpretation, Mask, Region

from .averaging import Field

PROBABILITY = 0.5
CM3 = 1000.0

# What bowel gas adds up to stays below; so does a lung that is nearly white.
LEAST_LUNGS_CM3 = 100.0
LEAST_PART_CM3 = 10.0
# Healthy lungs measure at least 0.6 of each other; an effusion or a tumour can leave a quarter.
LEAST_RATIO = 0.1
LEAST_DISTANCE_MM = 60.0
# Half the width in voxels of the bridges that are cut, one after another, where lungs touch.
BRIDGES = (0, 1, 2, 3, 4)
LEAST_CUT_CM2 = 3.0

NO_LUNGS = "No lungs were found: what looks like lung measures {found:.0f} cm³, less than {least:.0f} cm³."
ONE_AREA = "The lungs are not called left or right because they could not be separated into two areas of a pair's size."
CUT_OFF = "The series ends inside the lungs, so volumes are those of the part that it shows."


@dataclass(frozen=True)
class Territories:
    """The voxels of the network's grid that belong to each lung, or to the seed from which it is filled."""

    right: Mask
    left: Mask


def find_lungs(probability: Field, grid: Grid, volume: Volume) -> Interpretation:
    """Return the lungs in a map on the network's `grid` as regions on the grid of `volume`."""
    kept = _lung_parts(probability > PROBABILITY, LEAST_PART_CM3 * CM3 / grid.voxel_mm3)
    found_cm3 = kept.sum() * grid.voxel_mm3 / CM3
    if found_cm3 < LEAST_LUNGS_CM3:
        return Interpretation((), (NO_LUNGS.format(found=found_cm3, least=LEAST_LUNGS_CM3),))
    territories = _tell_apart(kept, grid)
    if territories is None:
        lungs = _on_source(probability, kept, grid, volume)
        return Interpretation((Region("lungs", lungs),), (ONE_AREA, *_why_partial(lungs, volume.grid)))
    right = _on_source(probability, territories.right, grid, volume)
    left = _on_source(probability, territories.left, grid, volume) & ~right
    regions = (Region("right_lung", right), Region("left_lung", left), Region("lungs", right | left))
    return Interpretation(regions, _why_partial(right | left, volume.grid))


def _lung_parts(mask: Mask, least_voxels: float) -> Mask:
    """Return the main connected parts, and of the others the large ones amid them.

    Air below the chin or in the bowel lies outside the box around the lungs, a lobe that a tumour
    cut off lies in it.
    """
    labels = _label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    main = np.argwhere(np.isin(labels, np.flatnonzero(sizes > LEAST_RATIO * sizes.max())))
    kept = [
        label
        for label in np.flatnonzero(sizes >= least_voxels)
        if _is_inside(np.argwhere(labels == label).mean(axis=0), main)
    ]
    return np.asarray(np.isin(labels, kept))


def _is_inside(place: NDArray[np.float64], voxels: NDArray[np.int64]) -> bool:
    """Say whether an index lies in the box around voxels."""
    return bool(((place >= voxels.min(axis=0)) & (place <= voxels.max(axis=0))).all())


def _tell_apart(lungs: Mask, grid: Grid) -> Territories | None:
    """Return which voxels are right and which left, or None where no two lungs lie side by side.

    Where the lungs touch, ever wider bridges are cut until two parts remain; from these the cut is
    filled again, so that they meet where the bridge is narrowest.
    """
    for width in BRIDGES:
        pair = _pair(_erode(lungs, width), grid)
        if pair is not None:
            return _fill(lungs, pair)
    return None


def _pair(mask: Mask, grid: Grid) -> Territories | None:
    """Return the two largest parts as right and left, if they are alike in size and lie side by side."""
    labels = _label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    if len(sizes) < 3:
        return None
    larger, smaller = np.argsort(sizes)[::-1][:2]
    centres = [_centre_mm(labels == label, grid) for label in (larger, smaller)]
    if sizes[smaller] < LEAST_RATIO * sizes[larger] or abs(centres[0] - centres[1]) < LEAST_DISTANCE_MM:
        return None
    # Patient coordinates count towards the left (PS3.3 C.7.6.2.1.1).
    right, left = (larger, smaller) if centres[0] < centres[1] else (smaller, larger)
    return Territories(labels == right, labels == left)


def _fill(lungs: Mask, pair: Territories) -> Territories:
    """Give every voxel of the lungs to the seed from which the deepest way leads to it."""
    depth = SimpleITK.SignedMaurerDistanceMap(_image(lungs), insideIsPositive=False, squaredDistance=False)
    markers = _image(pair.right.astype(np.uint8) + 2 * pair.left.astype(np.uint8))
    flooded = SimpleITK.MorphologicalWatershedFromMarkers(depth, markers, markWatershedLine=False)
    sides = SimpleITK.GetArrayFromImage(flooded)
    return Territories(lungs & (sides == 1), lungs & (sides == 2))


def _on_source(probability: Field, territory: Mask, grid: Grid, volume: Volume) -> Mask:
    """Return where the map exceeds a half in and at the edge of a territory, on the grid of the volume."""
    reach = SimpleITK.GetArrayFromImage(SimpleITK.BinaryDilate(_image(territory), [1, 1, 1])) > 0
    others = (probability > PROBABILITY) & ~territory
    own = np.where(reach & ~others, probability, 0.0).astype(np.float32)
    return np.asarray((resample_values(own, grid, volume.grid, Sampling()) > PROBABILITY) & ~volume.padding)


def _why_partial(lungs: Mask, grid: Grid) -> tuple[str, ...]:
    """Return a remark when an outer face of the volume cuts through more than a sliver of lung."""
    spacing = grid.spacing_mm
    for axis in range(3):
        cell_cm2 = grid.voxel_mm3 / spacing[axis] / 100.0
        for end in (0, -1):
            if lungs.take(end, axis).sum() * cell_cm2 > LEAST_CUT_CM2:
                return (CUT_OFF,)
    return ()


def _erode(mask: Mask, width: int) -> Mask:
    if width == 0:
        return mask
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.BinaryErode(_image(mask), [width, width, width // 2])) > 0)


def _centre_mm(mask: Mask, grid: Grid) -> float:
    """Return the mean x in mm; the columns of the network's grid run to the left."""
    per_column = mask.sum(axis=(0, 1))
    return float(np.average(np.arange(per_column.size), weights=per_column) * grid.spacing_mm[2])


def _label(mask: Mask) -> NDArray[np.uint32]:
    """Return the connected parts, numbered from 1; voxels are connected by their faces."""
    return np.asarray(SimpleITK.GetArrayFromImage(SimpleITK.ConnectedComponent(_image(mask))))


def _image(mask: Mask | NDArray[np.uint8]) -> SimpleITK.Image:
    return SimpleITK.GetImageFromArray(mask.astype(np.uint8))
