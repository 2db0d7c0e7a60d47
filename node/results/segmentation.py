"""Findings as a binary SEG on the grid of a projection image, which has no frame of reference."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from node.results.header import copy_valid, encoding_source, state_origin
from node.results.request import ResultRequest
from node.results.segment import dimension_organization_uid, start_segmentation

NO_SPACING_MM = (1.0, 1.0)
SLICE_THICKNESS_MM = 1.0


def encode_segmentation(request: ResultRequest) -> hd.seg.Segmentation:
    """Return a BINARY SEG (PS3.3 A.51) with one segment and one frame per finding, in their order."""
    masks = np.stack([finding.mask for finding in request.findings], axis=-1)
    segmentation = start_segmentation(request, [encoding_source(request.source)], masks[np.newaxis].astype(np.uint8))
    _pin_dimension_organization(segmentation, request)
    _identify_segment_per_frame(segmentation)
    _place_in_image_plane(segmentation, request.source)
    copy_valid(request.source, segmentation, ("BodyPartExamined",))
    state_origin(segmentation, request)
    return segmentation


def _pin_dimension_organization(segmentation: Dataset, request: ResultRequest) -> None:
    uid = dimension_organization_uid(request)
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
    shared.PixelMeasuresSequence = hd.PixelMeasuresSequence(stated_spacing_mm(source), SLICE_THICKNESS_MM)
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [orientation]
    for frame in segmentation.PerFrameFunctionalGroupsSequence:
        position = Dataset()
        position.ImagePositionPatient = [0, 0, 0]
        frame.PlanePositionSequence = [position]
    segmentation.PatientOrientation = source.get("PatientOrientation")


def stated_spacing_mm(source: Dataset) -> Sequence[float]:
    """Return the spacing viewers draw the source with: nothing is measured from it here."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        spacing = source.get(keyword)
        if spacing is not None and len(spacing) == 2 and all(value > 0 for value in spacing):
            return (float(spacing[0]), float(spacing[1]))
    return NO_SPACING_MM
