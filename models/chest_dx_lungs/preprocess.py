"""What the network sees of a chest X-ray, and what its answer says about the lungs."""

from __future__ import annotations

import numpy as np

from node.imaging.components import largest_components
from node.imaging.image import PlanarImage
from node.imaging.normalise import stretch_exposure
from node.imaging.orientation import is_orientation_stated, turn_to_display
from node.imaging.resample import letterbox, undo_letterbox
from node.vocabulary import Interpretation, Mask, Pixels, Region

SIZE = 256

PROBABILITY = 0.5
MOST_LUNGS = 2
# Measured on the 62 masks for training and validation: the smaller lung covers at least 10 % of the
# picture and 62 % of the larger, and the centres lie at least 47 % of the common width apart. The
# limits leave room for disease; two parts of one lung, or a patch beside the chest, stay outside.
LEAST_FRACTION = 0.01
LEAST_DISTANCE = 0.3
LEAST_RATIO = 0.2


def prepare(image: PlanarImage) -> Pixels:
    """Return (1, 256, 256, 1) in -1..1: the image as displayed, letterboxed, contrast stretched.

    Raises StudyRefused for a view that is not frontal and PixelsRefused for one without contrast.
    """
    turn = turn_to_display(image)
    picture = letterbox(turn.apply(image.pixels), SIZE)
    seen = letterbox(turn.apply(~image.padding).astype(np.float32), SIZE) > PROBABILITY
    return stretch_exposure(picture, seen)[np.newaxis, :, :, np.newaxis]


def interpret(prediction: Pixels, image: PlanarImage) -> Interpretation:
    """Name the lungs in a (1, 256, 256, 1) probability map, as masks on the grid of `image`.

    The masks do not overlap; their union is where the probability exceeds a half, less stray
    patches. A side is stated only where PatientOrientation gives it.
    """
    turn = turn_to_display(image)
    displayed_shape = turn.apply(image.padding).shape
    probability = undo_letterbox(prediction[0, :, :, 0], displayed_shape)
    least_pixels = int(LEAST_FRACTION * probability.size)
    lungs = largest_components(probability > PROBABILITY, MOST_LUNGS, least_pixels)

    reason = _why_no_side(lungs, is_orientation_stated(image))
    if not reason:
        lungs = sorted(lungs, key=_centre_column)  # on the display the patient's right is at the left
    names = ("lung", "lung") if reason else ("right_lung", "left_lung")
    regions = tuple(Region(name, turn.undo(lung)) for name, lung in zip(names, lungs, strict=False))
    return Interpretation(regions, _remarks(reason, image))


def _why_no_side(lungs: list[Mask], orientation_is_stated: bool) -> str:
    """Return why the lungs cannot be told apart as right and left; empty when they can."""
    if not lungs:
        return "No lung was found in this image."
    if not orientation_is_stated:
        return "Lungs are not called left or right because the image has no PatientOrientation."
    if len(lungs) == 1:
        return "The lung is not called left or right because only one connected area was found."
    if not _lie_on_two_sides(lungs):
        return "Lungs are not called left or right because the two areas found do not lie side by side."
    return ""


def _remarks(reason: str, image: PlanarImage) -> tuple[str, ...]:
    view = "" if image.view_position else "The image does not state its view position (PA or AP)."
    return tuple(remark for remark in (reason, view) if remark)


def _lie_on_two_sides(lungs: list[Mask]) -> bool:
    """Say whether two areas, the larger first, are as far apart and as alike in size as two lungs."""
    larger, smaller = lungs
    columns = np.flatnonzero((larger | smaller).any(axis=0))
    width = columns[-1] - columns[0] + 1
    distance = abs(_centre_column(larger) - _centre_column(smaller))
    return bool(distance >= LEAST_DISTANCE * width and smaller.sum() >= LEAST_RATIO * larger.sum())


def _centre_column(lung: Mask) -> float:
    """Return the mean column of the area."""
    per_column = lung.sum(axis=0)
    return float(np.average(np.arange(per_column.size), weights=per_column))
