"""What every SEG says of its segments: what they outline, which model outlined them, how to track them."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.header import creation_arguments, fit
from node.results.request import ResultKind, ResultRequest
from node.results.uids import result_uid
from node.vocabulary import Finding


def start_segmentation(
    request: ResultRequest, references: Sequence[Dataset], frames: NDArray[np.uint8]
) -> hd.seg.Segmentation:
    """Return a BINARY SEG (PS3.3 A.51) with one segment per finding, in their order.

    `frames` is (frames, rows, columns, segments).
    """
    return hd.seg.Segmentation(
        source_images=references,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe_segment(request, number, finding) for number, finding in enumerate(request.findings, start=1)
        ],
        content_label="SEGMENTATION",
        content_description=fit(request.model.title),
        omit_empty_frames=False,
        **creation_arguments(request, ResultKind.SEGMENTATION),
    )


def dimension_organization_uid(request: ResultRequest) -> str:
    """Return the UID that ties the dimension indices of a SEG together."""
    return result_uid(request.inputs_digest, request.model.sha256, "dimension_organization", 0)


def tracking_uid(request: ResultRequest, number: int, part: int = 1) -> str:
    """Return the UID by which the SEG and the reports of a job mean the same finding, numbered from 1.

    A finding of several regions is tracked by its first part; the others have UIDs of their own.
    """
    kind = "tracking" if part == 1 else f"tracking/{part}"
    return result_uid(request.inputs_digest, request.model.sha256, kind, number)


def _describe_segment(request: ResultRequest, number: int, finding: Finding) -> hd.seg.SegmentDescription:
    model = request.model
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=fit(finding.label),
        segmented_property_category=finding.category,
        segmented_property_type=finding.property_type,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=fit(model.title),
            family=codes.DCM.ArtificialIntelligence,
            version=fit(model.version),
            source=fit(model.name),
            parameters={"sha256": model.sha256},
        ),
        tracking_uid=tracking_uid(request, number),
        tracking_id=finding.label,
        display_color=hd.color.CIELabColor.from_rgb(*finding.colour_rgb),
    )
    if finding.modifier is not None:
        modifier = hd.sr.CodedConcept.from_code(finding.modifier)
        property_type = description.SegmentedPropertyTypeCodeSequence[0]
        property_type.SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return description
