"""What the network sees of a head, and what its answer says: whether it is an upright T1 brain, and where it is odd."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from node.errors import StudyRefused
from node.imaging.regrid import resample_volume
from node.imaging.volume import Unit, Volume
from node.vocabulary import Interpretation, Pixels, ValueMap

from .head_box import SHAPE, HeadBox, find_head
from .kinds import SIGNS, Kind

EMBEDDING = 64
# The highest tenth at which every brain of the validation split, varied ones too, is accepted.
LEAST_SCORE = 0.9


def prepare(volume: Volume) -> Pixels:
    """Return (1, 40, 56, 48, 2): the box around the brain, along the patient's axes, in 4 mm voxels.

    The first channel is the head without the shading of the coil, the second this shading.

    Raises PixelsRefused where nothing stands out of the background and SeriesRefused for a volume of
    impossible size.
    """
    box = find_head(volume)
    return np.stack([box.values, box.shading], axis=-1)[np.newaxis]


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return how far the volume differs from its copy, voxel by voxel, and its embedding.

    The map holds the absolute difference, where 1 is the mean grey of the head around the voxel; outside
    the box it is 0. Raises StudyRefused for a volume that is no upright T1 brain.
    """
    scores = prediction[0, -len(Kind) :]
    certainty = score_of(scores)
    if certainty < LEAST_SCORE:
        signs = SIGNS[_likeliest_fault(scores)]
        raise StudyRefused(
            f"the series shows signs of {signs} (score {certainty:.1f}, accepted from {LEAST_SCORE:.1f}), expected "
            "an upright T1 brain; check sequence, orientation and spacing, or choose another series"
        )
    box = find_head(volume)
    copy = prediction[0, : box.values.size].reshape(SHAPE)
    embedding = prediction[0, box.values.size : box.values.size + EMBEDDING]
    return Interpretation(
        maps=(ValueMap("error", _on_source_grid(np.abs(box.values - copy), box, volume)),),
        remarks=(
            f"The series looks like an upright T1 brain (score {certainty:.1f}, accepted from {LEAST_SCORE:.1f}).",
            "The map covers 160 mm from the top of the head downwards; elsewhere it is 0.",
        ),
        embedding=tuple(float(number) for number in embedding),
    )


def score_of(scores: NDArray[np.float32]) -> float:
    """Return the logarithm of the odds that the volume is an upright T1 brain: 0 is as likely as not."""
    others = np.delete(scores.astype(np.float64), Kind.T1_BRAIN)
    return float(scores[Kind.T1_BRAIN] - np.logaddexp.reduce(others))


def _likeliest_fault(scores: NDArray[np.float32]) -> Kind:
    return max(SIGNS, key=lambda kind: float(scores[kind]))


def _on_source_grid(values: Pixels, box: HeadBox, volume: Volume) -> Pixels:
    """Interpolate a map of the box linearly at the voxels of the volume."""
    there = Volume(values.astype(np.float32), box.grid, Unit.STORED, np.zeros(values.shape, np.bool_), (), "")
    moved = resample_volume(there, volume.grid)
    return np.where(moved.padding, 0.0, moved.voxels).astype(np.float32)
