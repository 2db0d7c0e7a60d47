"""Enhanced and legacy converted instances: one header for each frame, as a single slice would state it."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import uid
from pydicom.dataset import Dataset

from node.errors import MissingGeometry
from node.imaging.attributes import NumberReader

MULTIFRAME_CLASSES = frozenset(
    {
        uid.EnhancedCTImageStorage,
        uid.EnhancedMRImageStorage,
        uid.EnhancedPETImageStorage,
        uid.LegacyConvertedEnhancedCTImageStorage,
        uid.LegacyConvertedEnhancedMRImageStorage,
        uid.LegacyConvertedEnhancedPETImageStorage,
    }
)

PIXEL_GROUP = 0x7FE00000  # the first tag that may hold pixel data


def frame_headers(dataset: Dataset) -> list[Dataset]:
    """Return a flat header for each frame: the instance's own attributes, overlaid by its functional groups.

    What a frame states goes before what the frames share (PS3.3 C.7.6.16.1.1). Raises MissingGeometry
    when the frames and their groups differ in number.
    """
    frames = NumberReader(dataset, MissingGeometry).whole("NumberOfFrames") or 0
    groups = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if frames < 1 or len(groups) != frames:
        raise MissingGeometry(
            f"PerFrameFunctionalGroupsSequence: found {len(groups)} items for {frames} frames, expected one for "
            "each frame; send the instance again from the modality"
        )
    common = dataset[:PIXEL_GROUP]
    for shared in _items(dataset, "SharedFunctionalGroupsSequence"):
        _overlay(common, shared)
    return [_frame_header(common, group) for group in groups]


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """Return the items of a sequence, none without one; raise MissingGeometry for a value that has none."""
    if keyword not in dataset:
        return ()
    if dataset[keyword].VR != "SQ":
        raise MissingGeometry(
            f"{keyword}: found {dataset[keyword].VR}, expected a sequence; send the instance again from the modality"
        )
    items: Sequence[Dataset] = dataset[keyword].value or ()
    return items


def _frame_header(common: Dataset, group: Dataset) -> Dataset:
    header = Dataset()
    header.update(common)
    _overlay(header, group)
    return header


def _overlay(header: Dataset, group: Dataset) -> None:
    """Put the attributes of each macro (its first item) into the header."""
    for macro in group:
        if macro.VR == "SQ" and macro.value:
            header.update(macro.value[0])
