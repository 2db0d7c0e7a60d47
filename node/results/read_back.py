"""What a receiver finds in a result object: the masks of a SEG and the sentences of a text report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
from pydicom.dataset import Dataset

from node.vocabulary import Mask


@dataclass(frozen=True)
class ReadSegment:
    """A segment as stored: its label, its mask (rows, columns), its tracking UID and its colour."""

    label: str
    mask: Mask
    tracking_uid: str
    colour_rgb: tuple[int, int, int]


def read_segments(dataset: Dataset) -> list[ReadSegment]:
    """Return the segments of a SEG on one projection image, in the order of their numbers."""
    segmentation = hd.seg.Segmentation.from_dataset(dataset)
    pixels = segmentation.get_frames(apply_real_world_transform=False)
    numbers = [
        int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]
    return [
        ReadSegment(
            label=str(segment.SegmentLabel),
            mask=pixels[numbers.index(int(segment.SegmentNumber))].astype(bool),
            tracking_uid=str(segment.TrackingUID),
            colour_rgb=_colour_rgb(segment),
        )
        for segment in segmentation.SegmentSequence
    ]


def _colour_rgb(segment: Dataset) -> tuple[int, int, int]:
    colour = hd.color.CIELabColor.from_dicom_value(segment.RecommendedDisplayCIELabValue)
    red, green, blue = (int(channel) for channel in colour.to_rgb())
    return red, green, blue


def read_sentences(dataset: Dataset) -> list[str]:
    """Return the sentences of a text report, in the order in which a viewer shows them."""
    return [
        str(item.TextValue)
        for section in dataset.ContentSequence
        if section.ValueType == "CONTAINER"
        for item in _descendants(section)
        if item.ValueType == "TEXT"
    ]


def _descendants(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", []):
        yield item
        yield from _descendants(item)
