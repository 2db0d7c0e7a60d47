"""What the network sees of a T1 head, and what its answer says about the age of the person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from node.imaging.alignment import align_head
from node.imaging.head_template import COMPARED, common_grey, lay_head, read_head_template, turn_head
from node.imaging.volume import Volume
from node.vocabulary import Interpretation, Pixels, Quantity

MARGIN = ((2, 2), (0, 0), (2, 2), (0, 0))  # voxels of air, so that the tissue network can halve the grid three times
AGES = (20.0, 86.0)  # years, of the persons it learnt from
# Of the heads it learnt from: grey and white matter together in ml, and agreement with the mean head.
USUAL_ML = (800.0, 1700.0)
LEAST_USUAL_AGREEMENT = 0.80


def prepare(volume: Volume) -> Pixels:
    """Return (1, 88, 104, 88, 2): the head stretched onto the mean head, and the head only turned to lie like it.

    Slices run from feet to head, rows from front to back, columns from right to left; voxels are 2 mm.
    In the first channel, which ends 24 mm off the brain, CSF is 0.2, grey matter 0.6 and white matter 1;
    the second is what the tissue network was trained on: air 0, tissue about 1. Raises StudyRefused for
    what is no T1 series of a head.
    """
    head = read_head_template(Path(__file__).parent)
    laid = lay_head(volume, head)
    stretched = common_grey(laid.stretched, laid.greys) * (head.zones >= COMPARED)
    heads = np.stack([stretched, turn_head(volume, laid, head)], axis=-1)
    return np.pad(heads, MARGIN)[np.newaxis].astype(np.float32)


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return the age with its 95 % interval, from a (1, 5) prediction: years, half the interval, ml of tissues."""
    age, half = max(0.0, float(prediction[0, 0])), float(prediction[0, 1])
    brain_ml = float(prediction[0, 3:].sum())
    agreement = align_head(volume, read_head_template(Path(__file__).parent).template).agreement
    low, high = max(0.0, age - half), age + half
    if agreement < LEAST_USUAL_AGREEMENT:
        low, high = min(low, AGES[0]), max(high, AGES[1])
    remarks = tuple(_remarks(age, brain_ml, agreement))
    return Interpretation(quantities=(Quantity("age", age, low, high),), remarks=remarks)


def _remarks(age: float, brain_ml: float, agreement: float) -> list[str]:
    """Return what a reader of the number has to know of it and of this series."""
    low, high = AGES
    remarks = [f"The age is estimated from the brain and holds for adults of {low:.0f} to {high:.0f} years."]
    if not low <= age <= high:
        remarks.append("This estimate lies outside these ages, so it says little more than on which side.")
    if not USUAL_ML[0] <= brain_ml <= USUAL_ML[1]:
        remarks.append(
            f"Grey and white matter measure {brain_ml:.0f} ml, in the adults it learnt from {USUAL_ML[0]:.0f} to "
            f"{USUAL_ML[1]:.0f} ml: the estimate cannot be trusted."
        )
    if agreement < LEAST_USUAL_AGREEMENT:
        remarks.append(
            f"The series looks unlike those it learnt from (agreement with the mean head {agreement:.2f}, there at "
            f"least {LEAST_USUAL_AGREEMENT:.2f}): errors of decades were seen, and the interval spans all their ages."
        )
    return remarks
