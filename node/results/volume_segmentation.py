"""Findings in a volume as a binary SEG: frames where the sources lie, each naming the slice it outlines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.tag import Tag

from node.imaging.slices import Slice
from node.results.bit_frames import pack_bits
from node.results.frame_groups import (
    frame_groups,
    pin_dimensions,
    place_groups,
    segment_group,
    slice_groups,
    stand_in,
    state_frames,
)
from node.results.header import copy_valid, state_origin
from node.results.planes import source_slices
from node.results.references import state_referenced_series
from node.results.request import ResultRequest
from node.results.segment import dimension_organization_uid, start_segmentation
from node.vocabulary import Mask


@dataclass(frozen=True)
class _Frame:
    """One frame: its segment, counted from 1, and the slice it outlines, counted from 0."""

    segment: int
    number: int


def encode_volume_segmentation(request: ResultRequest) -> hd.seg.Segmentation:
    """Return a BINARY SEG (PS3.3 A.51) with one segment per finding and one frame per slice it is seen in.

    Frames are ordered by segment and then along the normal, and segments may overlap.
    """
    assert request.grid is not None
    slices = source_slices(request)
    frames = [
        _Frame(segment, int(number))
        for segment, finding in enumerate(request.findings, start=1)
        for number in np.flatnonzero(finding.mask.any(axis=(1, 2)))
    ]
    one_frame = np.ones((1, 1, 1, len(request.findings)), dtype=np.uint8)
    segmentation = start_segmentation(request, [stand_in(slices[0])], one_frame)
    pin_dimensions(segmentation, dimension_organization_uid(request))
    pointers = [item.DimensionIndexPointer for item in segmentation.DimensionIndexSequence]
    assert pointers == [Tag("ReferencedSegmentNumber"), Tag("ImagePositionPatient")]
    segmentation.SharedFunctionalGroupsSequence = [place_groups(slices[0], request.grid.spacing_mm[0])]
    del segmentation.PerFrameFunctionalGroupsSequence
    _state_pixels(segmentation, request, frames)
    # Every source is listed, also one in which nothing was found.
    state_referenced_series(segmentation, request.evidence)
    del segmentation.SourceImageSequence
    copy_valid(request.source, segmentation, ("BodyPartExamined", "PositionReferenceIndicator"))
    state_origin(segmentation, request)
    state_frames(segmentation, list(_frame_groups(frames, slices)))
    return segmentation


def _frame_groups(frames: Sequence[_Frame], slices: Sequence[Slice]) -> Iterator[bytes]:
    seen = sorted({frame.number for frame in frames})
    rank = {number: index for index, number in enumerate(seen, start=1)}
    groups_of_slices = slice_groups([slices[number] for number in seen], codes.cid7203.SegmentationImageDerivation)
    shown = dict(zip(seen, groups_of_slices, strict=True))
    for frame in frames:
        dimensions = (frame.segment, rank[frame.number])
        yield frame_groups(shown[frame.number], dimensions, segment_group(frame.segment))


def _state_pixels(segmentation: Dataset, request: ResultRequest, frames: Sequence[_Frame]) -> None:
    masks = [finding.mask for finding in request.findings]
    _, segmentation.Rows, segmentation.Columns = request.mask_shape
    segmentation.NumberOfFrames = len(frames)
    segmentation.SegmentsOverlap = "YES" if _do_overlap(masks, frames) else "NO"
    packed = pack_bits(masks[frame.segment - 1][frame.number] for frame in frames)
    segmentation.add_new("PixelData", "OB", BytesIO(packed))  # plain bytes pydicom copies once more to write them


def _do_overlap(masks: Sequence[Mask], frames: Sequence[_Frame]) -> bool:
    """Tell whether any pixel is in two segments; only slices with frames of several are looked at."""
    on_slice: dict[int, list[Mask]] = {}
    for frame in frames:
        on_slice.setdefault(frame.number, []).append(masks[frame.segment - 1][frame.number])
    return any(len(found) > 1 and _share_a_pixel(found) for found in on_slice.values())


def _share_a_pixel(masks: Sequence[Mask]) -> bool:
    covered = masks[0].copy()
    for mask in masks[1:]:
        if (covered & mask).any():
            return True
        covered |= mask
    return False
