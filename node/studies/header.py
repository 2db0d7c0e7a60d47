"""What is kept of a header in the index: the attributes that rules and completion look at."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

INDEXED_KEYWORDS = (
    "AcquisitionNumber",
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
    "NumberOfTemporalPositions",
    "PatientOrientation",
    "PixelSpacing",
    "ProtocolName",
    "RepetitionTime",
    "RequestedProcedurePriority",
    "Rows",
    "ScanOptions",
    "ScanningSequence",
    "SequenceName",
    "SeriesDescription",
    "SeriesNumber",
    "SliceThickness",
    "SpacingBetweenSlices",
    "StationName",
    "StudyDescription",
    "TemporalPositionIdentifier",
    "ViewPosition",
)


def select_header(header: Dataset) -> dict[str, Any]:
    """Return the indexed attributes an instance states, by keyword: text, numbers, or lists of them."""
    return {keyword: _plain(header[keyword].value) for keyword in INDEXED_KEYWORDS if _is_stated(header, keyword)}


def _is_stated(header: Dataset, keyword: str) -> bool:
    return keyword in header and header[keyword].value not in (None, "", [])


def _plain(value: Any) -> Any:
    """Return the value as JSON can hold it."""
    if isinstance(value, MultiValue | list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)
