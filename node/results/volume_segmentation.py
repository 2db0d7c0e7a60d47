"""Findings in a volume as a binary SEG: frames where the sources lie, each naming the slice it outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag
from pydicom.valuerep import format_number_as_ds

from node.imaging.slices import Slice
from node.results.bit_frames import pack_bits
from node.results.header import copy_valid, encoding_source, state_origin
from node.results.planes import source_slices
from node.results.request import ResultRequest
from node.results.segment import dimension_organization_uid, start_segmentation
from node.vocabulary import Mask

DERIVATION = hd.sr.CodedConcept.from_code(codes.cid7203.SegmentationImageDerivation)
PURPOSE = hd.sr.CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)


@dataclass(frozen=True)
class _Frame:
    """One frame: its segment, counted from 1, and the slice it outlines, counted from 0."""

    segment: int
    number: int


def encode_volume_segmentation(request: ResultRequest) -> hd.seg.Segmentation:
    """Return a BINARY SEG (PS3.3 A.51) with one segment per finding and one frame per slice it is seen in.

    Frames are ordered by segment and then along the normal, and segments may overlap. highdicom makes
    the object for one frame; frames are added here, because highdicom knows no source with an
    orientation per frame and finds the source of a frame by its place in a list.
    """
    slices = source_slices(request)
    frames = [
        _Frame(segment, int(number))
        for segment, finding in enumerate(request.findings, start=1)
        for number in np.flatnonzero(finding.mask.any(axis=(1, 2)))
    ]
    one_frame = np.ones((1, 1, 1, len(request.findings)), dtype=np.uint8)
    segmentation = start_segmentation(request, [_stand_in(slices[0])], one_frame)
    _state_dimensions(segmentation, request)
    _state_shared_groups(segmentation, request, slices[0])
    segmentation.PerFrameFunctionalGroupsSequence = list(_frame_groups(frames, slices))
    _state_pixels(segmentation, request, frames)
    _refer_to_sources(segmentation, request.evidence)
    copy_valid(request.source, segmentation, ("BodyPartExamined", "PositionReferenceIndicator"))
    state_origin(segmentation, request)
    return segmentation


def _stand_in(part: Slice) -> Dataset:
    """Return a single-frame image of one pixel that gives highdicom the frame of reference."""
    reference = encoding_source(part.dataset)
    reference.SOPClassUID = uid.CTImageStorage
    reference.Rows = reference.Columns = reference.SliceThickness = 1
    reference.FrameOfReferenceUID = part.plane.frame_of_reference_uid
    for keyword in ("PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        setattr(reference, keyword, _decimals(part.header[keyword].value))
    return reference


def _state_dimensions(segmentation: Dataset, request: ResultRequest) -> None:
    """Index frames by segment and position (PS3.3 C.7.6.17)."""
    pinned = dimension_organization_uid(request)
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = pinned
    pointers = [item.DimensionIndexPointer for item in segmentation.DimensionIndexSequence]
    assert pointers == [Tag("ReferencedSegmentNumber"), Tag("ImagePositionPatient")]


def _state_shared_groups(segmentation: Dataset, request: ResultRequest, part: Slice) -> None:
    """State orientation and voxel size once; the distance between slices is the measured one."""
    assert request.grid is not None
    step_mm = request.grid.spacing_mm[0]
    orientation, measures, shared = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = _decimals(part.header.ImageOrientationPatient)
    measures.PixelSpacing = _decimals(part.header.PixelSpacing)
    measures.SliceThickness = format_number_as_ds(float(part.header.get("SliceThickness") or step_mm))
    measures.SpacingBetweenSlices = format_number_as_ds(step_mm)
    shared.PlaneOrientationSequence = [orientation]
    shared.PixelMeasuresSequence = [measures]
    segmentation.SharedFunctionalGroupsSequence = [shared]


def _frame_groups(frames: Sequence[_Frame], slices: Sequence[Slice]) -> Iterator[Dataset]:
    seen = sorted({frame.number for frame in frames})
    rank = {number: index for index, number in enumerate(seen, start=1)}
    for frame in frames:
        part = slices[frame.number]
        content, segment, position = Dataset(), Dataset(), Dataset()
        content.DimensionIndexValues = [frame.segment, rank[frame.number]]
        segment.ReferencedSegmentNumber = frame.segment
        position.ImagePositionPatient = _decimals(part.header.ImagePositionPatient)
        groups = Dataset()
        groups.FrameContentSequence = [content]
        groups.SegmentIdentificationSequence = [segment]
        groups.PlanePositionSequence = [position]
        groups.DerivationImageSequence = [_derivation(part)]
        yield groups


def _derivation(part: Slice) -> Dataset:
    """Return the item that says which instance, and which frame of it, a frame was outlined on."""
    source, derivation = Dataset(), Dataset()
    source.ReferencedSOPClassUID = part.dataset.SOPClassUID
    source.ReferencedSOPInstanceUID = part.source.sop_instance_uid
    if part.source.frame_number is not None:
        source.ReferencedFrameNumber = part.source.frame_number
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [PURPOSE]
    derivation.SourceImageSequence = [source]
    derivation.DerivationCodeSequence = [DERIVATION]
    return derivation


def _state_pixels(segmentation: Dataset, request: ResultRequest, frames: Sequence[_Frame]) -> None:
    masks = [finding.mask for finding in request.findings]
    _, segmentation.Rows, segmentation.Columns = request.mask_shape
    segmentation.NumberOfFrames = len(frames)
    segmentation.SegmentsOverlap = "YES" if _do_overlap(masks) else "NO"
    segmentation.PixelData = pack_bits(masks[frame.segment - 1][frame.number] for frame in frames)


def _do_overlap(masks: Sequence[Mask]) -> bool:
    covered = masks[0].copy()
    for mask in masks[1:]:
        if (covered & mask).any():
            return True
        covered |= mask
    return False


def _refer_to_sources(segmentation: Dataset, sources: Sequence[Dataset]) -> None:
    """List every source instance once, also those in which nothing was found (PS3.3 C.12.2)."""
    by_series: dict[str, list[Dataset]] = {}
    for source in sources:
        reference = Dataset()
        reference.ReferencedSOPClassUID = source.SOPClassUID
        reference.ReferencedSOPInstanceUID = source.SOPInstanceUID
        by_series.setdefault(str(source.SeriesInstanceUID), []).append(reference)
    series_items = []
    for series_uid, references in by_series.items():
        item = Dataset()
        item.SeriesInstanceUID = series_uid
        item.ReferencedInstanceSequence = references
        series_items.append(item)
    segmentation.ReferencedSeriesSequence = series_items
    del segmentation.SourceImageSequence


def _decimals(values: Sequence[float]) -> list[str]:
    """Return the values as decimal strings of at most 16 characters."""
    return [format_number_as_ds(float(value)) for value in values]
