"""What the network sees of a T1 head, and what its answer says about the sex of the person."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from node.imaging.alignment import align_head
from node.imaging.head_template import common_grey, lay_head, read_head_template
from node.imaging.volume import Volume
from node.vocabulary import Classification, Interpretation, Pixels

SEXES = ("F", "M")  # DICOM CID 7455, in the order of the network
POOL = 2
LEAST_USUAL_AGREEMENT = 0.80  # of the heads it learnt from


def prepare(volume: Volume) -> Pixels:
    """Return (1, 42, 52, 42, 1): the brain and 16 mm round it, laid on the mean head, in voxels of 4 mm.

    Slices run from feet to head, rows from front to back, columns from right to left. Grey values are on
    a scale where CSF is 0.2, grey matter 0.6 and white matter 1. The size of the head is not in it.
    Raises StudyRefused for what is no T1 series of a head.
    """
    head = read_head_template(Path(__file__).parent)
    laid = lay_head(volume, head)
    seen = common_grey(laid.stretched, laid.greys) * head.near
    pooled = seen.reshape([part for length in seen.shape for part in (length // POOL, POOL)]).mean(axis=(1, 3, 5))
    return pooled[np.newaxis, ..., np.newaxis].astype(np.float32)


def interpret(prediction: Pixels, volume: Volume) -> Interpretation:
    """Return the probabilities of female and male, from a (1, 2) prediction."""
    female, male = (float(value) for value in prediction[0])
    share = female / (female + male) if female + male > 0 else 0.5
    shares = dict(zip(SEXES, (share, 1.0 - share), strict=True))
    remarks = ["The sex is an estimate from the shape of head and brain, not from chromosomes or the record."]
    agreement = align_head(volume, read_head_template(Path(__file__).parent).template).agreement
    if agreement < LEAST_USUAL_AGREEMENT:
        remarks.append(
            f"The series looks unlike those it learnt from (agreement with the mean head {agreement:.2f}, there at "
            f"least {LEAST_USUAL_AGREEMENT:.2f}): the probabilities are too sure."
        )
    return Interpretation(remarks=tuple(remarks), classifications=(Classification("sex", shares),))
