"""What the network sees of a T1 head, and what its answer says about the tissues of the brain."""

from __future__ import annotations

import numpy as np

from node.errors import SeriesRefused, StudyRefused
from node.imaging.components import largest_components
from node.imaging.head import head_box, normalise_head
from node.imaging.sliding_window import SlidingWindow
from node.imaging.upright import back_to_series, resample_upright
from node.imaging.volume import Grid, Unit, Volume
from node.vocabulary import Interpretation, Mask, Pixels, Region

STEP_MM = 2.0
WINDOWS = SlidingWindow((64, 64, 64), overlap=0.375)
OUTPUTS = ("csf", "gm", "wm")  # channels 1 to 3 of the network; channel 0 is the background

LEAST_EXTENT_MM = 100.0
THICK_MM = 2.5
ML_MM3 = 1000.0
# Of the 120 scans with labels, grey and white matter together take 945 to 1,603 ml.
USUAL_ML = (700.0, 2000.0)


def prepare(volume: Volume) -> Pixels:
    """Return (n, 64, 64, 64, 1): overlapping blocks of the head, 2 mm voxels, air 0 and tissue about 1.

    Slices run to the head, rows to the back and columns to the left. Raises StudyRefused for a CT, SeriesRefused
    where the series is too narrow to hold a brain, PixelsRefused where nothing stands out from the background.
    """
    _check(volume)
    image = resample_upright(volume, STEP_MM)
    return WINDOWS.cut(normalise_head(image)[head_box(image)][..., np.newaxis])


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Name CSF, grey and white matter in (n, 64, 64, 64, 4) probabilities, as masks on the grid of `volume`.

    The masks do not overlap; each voxel of the brain is what is most probable there, parts that do not touch the
    brain are left out.
    """
    image = resample_upright(volume, STEP_MM)
    box = head_box(image)
    shape = tuple(part.stop - part.start for part in box)
    probability = np.zeros((*image.grid.shape, len(OUTPUTS) + 1), np.float32)
    probability[..., 0] = 1.0
    probability[box] = WINDOWS.join(prediction, shape)
    classes = back_to_series(probability, image.grid, volume.grid)
    brain = largest_components((classes > 0) & ~volume.padding, 1, 1)
    if not brain:
        return Interpretation((), ("No brain was found in this series.",))
    masks = {name: brain[0] & (classes == number) for number, name in enumerate(OUTPUTS, start=1)}
    regions = tuple(Region(name, mask) for name, mask in masks.items() if mask.any())
    return Interpretation(regions, _remarks(masks, volume.grid))


def _check(volume: Volume) -> None:
    if volume.unit is Unit.HOUNSFIELD:
        raise StudyRefused("the voxels are in HU; tissues are told apart by their grey in T1; send a T1 MR series")
    extents = np.array(volume.grid.shape) * volume.grid.spacing_mm
    if extents.min() < LEAST_EXTENT_MM:
        raise SeriesRefused(
            f"the series covers {extents.min():.0f} mm across its narrowest axis, expected at least "
            f"{LEAST_EXTENT_MM:.0f} mm; send a series of the whole brain"
        )


def _remarks(masks: dict[str, Mask], grid: Grid) -> tuple[str, ...]:
    """Return what a reader of the volumes has to know of this series."""
    remarks = ["CSF is that of the training labels: the ventricles and only some of the fluid round the brain."]
    thickest = max(grid.spacing_mm)
    if thickest > THICK_MM:
        remarks.append(
            f"Slices are {thickest:.1f} mm apart and the model works at {STEP_MM:.0f} mm: volumes of thin structures "
            "are rough."
        )
    if _is_cut(masks["gm"] | masks["wm"]):
        remarks.append("The series ends inside the brain, so its volumes are too small.")
    brain_ml = float((masks["gm"].sum() + masks["wm"].sum()) * grid.voxel_mm3 / ML_MM3)
    if not USUAL_ML[0] <= brain_ml <= USUAL_ML[1]:
        remarks.append(
            f"Grey and white matter measure {brain_ml:.0f} ml, outside {USUAL_ML[0]:.0f} to {USUAL_ML[1]:.0f} ml: "
            "look at the outlines before using any number."
        )
    return tuple(remarks)


def _is_cut(brain: Mask) -> bool:
    """Say whether the brain reaches a face of the series with more than a hundredth of its widest section there."""
    for axis in range(3):
        counts = brain.sum(axis=tuple(other for other in range(3) if other != axis))
        if max(counts[0], counts[-1]) > 0.01 * counts.max():
            return True
    return False
