"""What rules look at in an instance: its indexed header, read into comparable values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import UID

from node.selector import Orientation
from node.studies.positions import orientation_of

_NO_AGENT = {"", "NONE", "NO", "N"}


@dataclass(frozen=True)
class Traits:
    """What criteria on a single instance compare; a field is called as in `Selector`.

    A text that the header does not state is "", a list is empty and a number is None. Instances that
    share all of it are decided as one.
    """

    modality: str = ""
    body_part: str = ""
    anatomy: tuple[str, ...] = ()
    procedure: tuple[str, ...] = ()
    sop_class: str = ""
    view_position: str = ""
    laterality: str = ""
    image_type: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    manufacturer: str = ""
    manufacturer_model: str = ""
    station: str = ""
    sender: str = ""
    sender_address: str = ""
    study_description: str = ""
    series_description: str = ""
    protocol: str = ""
    kernel: str = ""
    orientation: Orientation | None = None
    contrast_agent: str = ""
    slice_thickness_mm: float | None = None
    pixel_spacing_mm: float | None = None
    echo_time_ms: float | None = None
    repetition_time_ms: float | None = None
    field_strength_tesla: float | None = None

    @property
    def contrast(self) -> bool:
        """Tell whether a contrast agent is stated; NONE and NO are none."""
        return self.contrast_agent.strip().upper() not in _NO_AGENT


@dataclass(frozen=True)
class IndexedInstance:
    """An instance as the index knows it: its header by keyword, and who sent it.

    `number` tells it from every other instance of its study, `sha256` names its content.
    """

    number: int
    sop_instance_uid: str
    sha256: str
    sop_class_uid: str
    sender: str
    sender_address: str
    header: Mapping[str, Any]

    @property
    def frames(self) -> int:
        """Return how many images it holds."""
        return int(_number(self.header, "NumberOfFrames") or 1)

    @property
    def priority(self) -> str:
        """Return RequestedProcedurePriority (0040,1003) in upper case."""
        return _text(self.header, "RequestedProcedurePriority").upper()


@dataclass(frozen=True)
class IndexedSeries:
    """A series as the index knows it, without results of our own that came back."""

    series_instance_uid: str
    instances: tuple[IndexedInstance, ...]

    @property
    def name(self) -> str:
        """Name it by its number, or by its UID; nothing in it is of a patient."""
        return f"series {_text(self.instances[0].header, 'SeriesNumber') or self.series_instance_uid}"

    @property
    def title(self) -> str:
        """Return number, modality and description, for the eyes of an operator only."""
        header = self.instances[0].header
        return " ".join(filter(None, (_text(header, k) for k in ("SeriesNumber", "Modality", "SeriesDescription"))))


def read_traits(instance: IndexedInstance) -> Traits:
    """Return what criteria compare of an instance."""
    header = instance.header

    def text(keyword: str) -> str:
        return _text(header, keyword)

    def number(keyword: str) -> float | None:
        return _number(header, keyword)

    return Traits(
        modality=text("Modality"),
        body_part=text("BodyPartExamined"),
        anatomy=_texts(header, "AnatomicRegionSequence"),
        procedure=_texts(header, "ProcedureCodeSequence"),
        sop_class=UID(instance.sop_class_uid).keyword or instance.sop_class_uid,
        view_position=text("ViewPosition"),
        laterality=text("ImageLaterality") or text("Laterality"),
        image_type=_texts(header, "ImageType"),
        scan_options=_texts(header, "ScanOptions"),
        scanning_sequence=_texts(header, "ScanningSequence"),
        manufacturer=text("Manufacturer"),
        manufacturer_model=text("ManufacturerModelName"),
        station=text("StationName"),
        sender=instance.sender,
        sender_address=instance.sender_address,
        study_description=text("StudyDescription"),
        series_description=text("SeriesDescription"),
        protocol=text("ProtocolName"),
        kernel=text("ConvolutionKernel"),
        orientation=orientation_of(header),
        contrast_agent=text("ContrastBolusAgent"),
        slice_thickness_mm=number("SliceThickness"),
        pixel_spacing_mm=number("PixelSpacing"),
        echo_time_ms=number("EchoTime"),
        repetition_time_ms=number("RepetitionTime"),
        field_strength_tesla=number("MagneticFieldStrength"),
    )


def when_begun(instances: Sequence[IndexedInstance]) -> str:
    """Return the latest SeriesDate and SeriesTime stated, comparable as text; "" when none is."""
    return max(_text(instance.header, "SeriesDate") + _text(instance.header, "SeriesTime") for instance in instances)


def stated_number(instance: IndexedInstance, keyword: str) -> float | None:
    """Return a number of the header, of several the first; None when it is not stated."""
    return _number(instance.header, keyword)


def _text(header: Mapping[str, Any], keyword: str) -> str:
    return "\\".join(_texts(header, keyword))


def _texts(header: Mapping[str, Any], keyword: str) -> tuple[str, ...]:
    value = header.get(keyword, ())
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)


def _number(header: Mapping[str, Any], keyword: str) -> float | None:
    value = header.get(keyword)
    value = value[0] if isinstance(value, list) and value else value
    return float(value) if isinstance(value, int | float) else None
