"""What a receiver finds in a result object: the masks of a SEG, the values of a map, the sentences of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset

from node.imaging.volume import SliceSource
from node.vocabulary import Mask, Pixels


@dataclass(frozen=True)
class ReadSegment:
    """A segment as stored: its label, its mask, its tracking UID and its colour.

    The mask is (rows, columns) on a projection image and (slices, rows, columns) in a volume.
    """

    label: str
    mask: Mask
    tracking_uid: str
    colour_rgb: tuple[int, int, int]


def read_segments(dataset: Dataset) -> list[ReadSegment]:
    """Return the segments of a SEG on one projection image, in the order of their numbers."""
    masks = {number: mask for number, _, mask in _frames(dataset)}
    return [_read_segment(segment, masks[int(segment.SegmentNumber)]) for segment in dataset.SegmentSequence]


def read_volume_segments(dataset: Dataset, slices: Sequence[SliceSource]) -> list[ReadSegment]:
    """Return the segments of a SEG in a volume whose slices have these sources, in the order of their numbers.

    A slice of which a segment has no frame is empty in its mask. Raises KeyError for a frame that
    outlines none of the slices.
    """
    place = {source: number for number, source in enumerate(slices)}
    shape = (len(slices), int(dataset.Rows), int(dataset.Columns))
    masks = {int(segment.SegmentNumber): np.zeros(shape, dtype=bool) for segment in dataset.SegmentSequence}
    for number, source, mask in _frames(dataset):
        masks[number][place[source]] = mask
    return [_read_segment(segment, masks[int(segment.SegmentNumber)]) for segment in dataset.SegmentSequence]


def read_map(dataset: Dataset, slices: Sequence[SliceSource]) -> Pixels:
    """Return the values of a parametric map in a volume whose slices have these sources.

    Raises KeyError for a frame that shows none of the slices.
    """
    place = {source: number for number, source in enumerate(slices)}
    stored = np.frombuffer(dataset.FloatPixelData, "<f4").reshape(-1, dataset.Rows, dataset.Columns)
    values = np.full((len(slices), *stored.shape[1:]), np.nan, np.float32)
    for groups, frame in zip(dataset.PerFrameFunctionalGroupsSequence, stored, strict=True):
        values[place[_source_of(groups)]] = frame
    return values


def read_sentences(dataset: Dataset) -> list[str]:
    """Return the sentences of a text report, in the order in which a viewer shows them."""
    return [
        str(item.TextValue)
        for section in dataset.ContentSequence
        if section.ValueType == "CONTAINER"
        for item in _descendants(section)
        if item.ValueType == "TEXT"
    ]


def _frames(dataset: Dataset) -> Iterator[tuple[int, SliceSource, Mask]]:
    """Yield the segment number, the source and the mask of each frame."""
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    pixels = segmentation.get_frames(apply_real_world_transform=False)
    for groups, frame in zip(segmentation.PerFrameFunctionalGroupsSequence, pixels, strict=True):
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        yield number, _source_of(groups), frame.astype(bool)


def _source_of(groups: Dataset) -> SliceSource:
    (source,) = groups.DerivationImageSequence[0].SourceImageSequence
    return SliceSource(str(source.ReferencedSOPInstanceUID), source.get("ReferencedFrameNumber"))


def _read_segment(segment: Dataset, mask: Mask) -> ReadSegment:
    return ReadSegment(
        label=str(segment.SegmentLabel),
        mask=mask,
        tracking_uid=str(segment.TrackingUID),
        colour_rgb=_colour_rgb(segment),
    )


def _colour_rgb(segment: Dataset) -> tuple[int, int, int]:
    colour = hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
    red, green, blue = (int(channel) for channel in colour.to_rgb())
    return red, green, blue


def _descendants(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", []):
        yield item
        yield from _descendants(item)
