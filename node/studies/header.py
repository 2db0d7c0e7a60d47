"""What is kept of a header in the index: the attributes that rules and completion look at."""

from __future__ import annotations

import math
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import Tag

from node.plain_values import UNREADABLE, read_text, read_values

INDEXED_KEYWORDS = (
    "AcquisitionNumber",
    "AnatomicRegionSequence",
    "BodyPartExamined",
    "Columns",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "EchoNumbers",
    "EchoTime",
    "FrameOfReferenceUID",
    "ImageLaterality",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ImageType",
    "ImagesInAcquisition",
    "InstanceNumber",
    "Laterality",
    "MagneticFieldStrength",
    "Manufacturer",
    "ManufacturerModelName",
    "Modality",
    "NumberOfFrames",
    "NumberOfSeriesRelatedInstances",
    "NumberOfStudyRelatedInstances",
    "NumberOfStudyRelatedSeries",
    "NumberOfTemporalPositions",
    "PatientOrientation",
    "PixelSpacing",
    "ProcedureCodeSequence",
    "ProtocolName",
    "RepetitionTime",
    "RequestedProcedurePriority",
    "Rows",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SeriesDate",
    "SeriesDescription",
    "SeriesNumber",
    "SeriesTime",
    "SliceThickness",
    "SpacingBetweenSlices",
    "StationName",
    "StudyDescription",
    "TemporalPositionIdentifier",
    "ViewPosition",
)


# What an enhanced instance states once for all frames, or for each, in place of its own level (PS3.3 C.7.6.16).
_GROUP_KEYWORDS = (
    "ConvolutionKernel",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
)
_POSITION = "ImagePositionPatient"
_FUNCTIONAL_GROUPS = (Tag("SharedFunctionalGroupsSequence"), Tag("PerFrameFunctionalGroupsSequence"))


def select_header(header: Dataset) -> dict[str, Any]:
    """Return the indexed attributes an instance states, by keyword: text, numbers, or lists of them.

    A value that cannot be read counts as not stated. A code is written SCHEME:VALUE. Attributes of
    functional groups are those all frames share, or else of the first frame; the positions of its
    frames are a list under `ImagePositionPatient`.
    """
    found = _select(header, INDEXED_KEYWORDS)
    if not any(tag in header for tag in _FUNCTIONAL_GROUPS):
        return found
    shared = _items(header, "SharedFunctionalGroupsSequence")
    frames = _items(header, "PerFrameFunctionalGroupsSequence")
    for frame in [*shared, *frames[:1]]:
        for group in _first_items(frame):
            found = _select(group, _GROUP_KEYWORDS) | found
    positions = [stated[_POSITION] for frame in frames for stated in _positions(frame)]
    return found | ({_POSITION: positions} if positions else {})


def stated_text(header: Dataset, keyword: str) -> str:
    """Return a value as it is written; "" for one that is absent, empty or cannot be read."""
    try:
        return read_text(header, keyword)
    except UNREADABLE:
        return ""


def _select(header: Dataset, keywords: tuple[str, ...]) -> dict[str, Any]:
    """Return values as JSON can hold them, without those that are empty or cannot be read."""
    found = {}
    for keyword, value in read_values(header, keywords).items():
        try:
            plain = _plain(value)
        except UNREADABLE:
            continue
        if plain not in (None, "", []):
            found[keyword] = plain
    return found


def _items(header: Dataset, keyword: str) -> list[Dataset]:
    try:
        return list(header.get(keyword) or ())
    except UNREADABLE:
        return []


def _first_items(frame: Dataset) -> list[Dataset]:
    """Return the first item of each functional group."""
    return [element.value[0] for element in frame if element.VR == "SQ" and element.value]


def _positions(frame: Dataset) -> list[dict[str, Any]]:
    stated = [_select(item, (_POSITION,)) for item in _items(frame, "PlanePositionSequence")]
    return [position for position in stated if position]


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it; raises ValueError for a number that is none."""
    kind = type(value)
    if kind is str or kind is int or value is None:
        return value
    if isinstance(value, Sequence):
        return [_code(item) for item in value]
    if isinstance(value, MultiValue | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("neither JSON nor a comparison can hold what is no number")
    return float(value) if isinstance(value, float) else str(value)


def _code(item: Dataset) -> str:
    """Write a code as SCHEME:VALUE (PS3.3 8.2); a long code or a URN is its value too."""
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return f"{item.get('CodingSchemeDesignator', '')}:{value}"
