"""Findings as a binary SEG on the grid of a projection image, which has no frame of reference."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.header import copy_valid, creation_arguments, encoding_source, fit, state_origin
from node.results.request import ResultKind, ResultRequest
from node.results.uids import result_uid
from node.vocabulary import Finding

NO_SPACING_MM = (1.0, 1.0)
SLICE_THICKNESS_MM = 1.0


def encode_segmentation(request: ResultRequest) -> hd.seg.Segmentation:
    """Return a BINARY SEG (PS3.3 A.51) with one segment and one frame per finding, in their order."""
    masks = np.stack([finding.mask for finding in request.findings], axis=-1)
    segmentation = hd.seg.Segmentation(
        source_images=[encoding_source(request.source)],
        pixel_array=masks[np.newaxis].astype(np.uint8),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[
            _describe_segment(request, number, finding) for number, finding in enumerate(request.findings, start=1)
        ],
        content_label="SEGMENTATION",
        content_description=fit(request.model.title),
        omit_empty_frames=False,
        **creation_arguments(request, ResultKind.SEGMENTATION),
    )
    _pin_dimension_organization(segmentation, request)
    _identify_segment_per_frame(segmentation)
    _place_in_image_plane(segmentation, request.source)
    copy_valid(request.source, segmentation, ("BodyPartExamined",))
    state_origin(segmentation, request)
    return segmentation


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


def _pin_dimension_organization(segmentation: Dataset, request: ResultRequest) -> None:
    uid = result_uid(request.inputs_digest, request.model.sha256, "dimension_organization", 0)
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def _identify_segment_per_frame(segmentation: Dataset) -> None:
    """Let each frame name its segment, also where there is one only; most readers look nowhere else."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        (frame,) = segmentation.PerFrameFunctionalGroupsSequence
        frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence


def _place_in_image_plane(segmentation: Dataset, source: Dataset) -> None:
    """Lay every frame on the source image: a convention that viewers need, not a place in the patient.

    Without plane orientation and position highdicom's reader, dcmqi, PixelMed and OHIF refuse the
    object, although the SEG IOD asks for none where there is no frame of reference.
    """
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = hd.PixelMeasuresSequence(_stated_spacing_mm(source), SLICE_THICKNESS_MM)
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [orientation]
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        position = Dataset()
        position.ImagePositionPatient = [0, 0, 0]
        frame.PlanePositionSequence = [position]
    segmentation.PatientOrientation = source.get("PatientOrientation")


def _stated_spacing_mm(source: Dataset) -> Sequence[float]:
    """Return the spacing viewers draw the source with: nothing is measured from it here."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = source.get(keyword)
        if spacing is not None and len(spacing) == 2 and all(value > 0 for value in spacing):
            return (float(spacing[0]), float(spacing[1]))
    return NO_SPACING_MM
