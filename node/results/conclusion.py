"""Conclusions about the whole image or volume, classes and estimates, as TID 1500 reports of TID 1501 groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.contour import Polygon
from node.results.group import algorithm, measured, measurement_report, outlined, probability, qualify
from node.results.request import ResultKind, ResultRequest
from node.results.uids import result_uid
from node.vocabulary import ClassProbability, Conclusion

WholeGroup = hd.sr.MeasurementsAndQualitativeEvaluations
FrameGroup = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations

# CID 225. As numbers of the group and not below the estimate, where TID 310 has them: PixelMed takes every
# number below a number for one that it was computed from, and refuses the report.
ABOVE = Code("371886008", "SCT", "+, range of upper measurement uncertainty")
BELOW = Code("371885007", "SCT", "-, range of lower measurement uncertainty")

INSET_PX = 1.0  # how far inside the picture its frame runs, where viewers draw all of it


def encode_conclusion_report(request: ResultRequest) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1501 group per conclusion.

    A classification states the most probable class as what was found, unless it is undecided, and one
    probability for each class, which names its class; an estimate states the number with its prediction interval.
    """
    groups = [
        WholeGroup(
            measurements=list(_measurements(conclusion)),
            source_images=list(_source_images(request, conclusion)),
            **_identification(request, number, conclusion),
        )
        for number, conclusion in enumerate(request.conclusions, start=1)
    ]
    return measurement_report(request, ResultKind.CONCLUSION_REPORT, groups, request.evidence)


def encode_frame_report(request: ResultRequest) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1410 group per conclusion, whose region is the whole picture.

    Viewers draw nothing of a report in which some group has no SCOORD, hence a report of its own. The
    picture is the one that shows the conclusion best, in a volume the middle slice where none is named;
    of the probabilities it has that of the most probable class only.
    """
    groups = [
        FrameGroup(
            referenced_region=_whole_picture(request, conclusion),
            measurements=list(_measurements(conclusion))[:1],
            **_identification(request, number, conclusion),
        )
        for number, conclusion in enumerate(request.conclusions, start=1)
    ]
    return measurement_report(request, ResultKind.FRAME_REPORT, groups, request.evidence)


def _identification(request: ResultRequest, number: int, conclusion: Conclusion) -> dict[str, Any]:
    """Return highdicom's arguments about what a group concludes, where in the body, and by which model."""
    tracked = result_uid(request.inputs_digest, request.model.sha256, "tracking/conclusion", number)
    is_finding = conclusion.concept == codes.DCM.Finding
    winner = conclusion.choices[0].code if conclusion.choices and conclusion.is_decided else None
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(uid=tracked, identifier=conclusion.label),
        "finding_type": winner if is_finding else None,
        "finding_sites": _finding_sites(conclusion),
        "qualitative_evaluations": (
            None if is_finding or winner is None else [hd.sr.QualitativeEvaluation(conclusion.concept, winner)]
        ),
        "algorithm_id": algorithm(request),
    }


def _finding_sites(conclusion: Conclusion) -> list[hd.sr.FindingSite]:
    if conclusion.site is None:
        return []
    return [hd.sr.FindingSite(anatomic_location=conclusion.site, laterality=conclusion.side)]


def _measurements(conclusion: Conclusion) -> Iterator[hd.sr.Measurement]:
    """Yield the numbers of a conclusion, that of the most probable class or the estimate first."""
    for choice in conclusion.choices:
        yield _class_probability(choice)
    if conclusion.measurement is None:
        return
    estimate = conclusion.measurement
    if estimate.interval is None:
        yield measured(estimate)
        return
    low, high = estimate.interval
    explained = f"95 % prediction interval {low:.1f} to {high:.1f} {estimate.unit.value}"
    yield measured(replace(estimate, method=f"{explained}; {estimate.method}" if estimate.method else explained))
    for name, reach in ((ABOVE, high - estimate.value), (BELOW, estimate.value - low)):
        yield hd.sr.Measurement(name=name, value=round(reach, 6), unit=estimate.unit)


def _class_probability(choice: ClassProbability) -> hd.sr.Measurement:
    """Return the probability of a class, which stands below it as the finding that is so probable."""
    item = probability(choice.probability)
    named = hd.sr.CodeContentItem(
        name=codes.DCM.Finding,
        value=choice.code,
        relationship_type=hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    qualify(item, named)
    return item


def _source_images(request: ResultRequest, conclusion: Conclusion) -> Iterator[hd.sr.SourceImageForMeasurementGroup]:
    """Yield the picture that shows a conclusion best, or every source where none is named."""
    shown: Sequence[tuple[Dataset, int | None]] = [(source, None) for source in request.evidence]
    if conclusion.slice_number is not None:
        shown = [request.pictured(conclusion.slice_number)]
    for source, frame_number in shown:
        frames = None if frame_number is None else [frame_number]
        yield hd.sr.SourceImageForMeasurementGroup(source.SOPClassUID, source.SOPInstanceUID, frames)


def _whole_picture(request: ResultRequest, conclusion: Conclusion) -> hd.sr.ImageRegion:
    number = conclusion.slice_number
    if number is None and request.is_volume:
        number = len(request.slice_sources) // 2
    source, frame_number = request.pictured(number)
    return outlined(source, _border(int(source.Rows), int(source.Columns)), frame_number)


def _border(rows: int, columns: int) -> Polygon:
    """Return the closed border of a picture, (column, row) from its top left corner (PS3.3 C.18.6.1.1)."""
    inset = INSET_PX if min(rows, columns) > 4 * INSET_PX else 0.0
    left, right, top, bottom = inset, columns - inset, inset, rows - inset
    corners = [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]
    return np.array(corners, dtype=np.float32)
