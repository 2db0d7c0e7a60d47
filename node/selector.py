"""What a rule or a model's input asks of images: one format for routes.toml and model.toml."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

import pydicom.uid
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

Orientation = Literal["axial", "sagittal", "coronal", "oblique"]
Choice = Literal["all", "largest", "thinnest", "latest"]

_CODE = re.compile(r"!?[^:\s]+:[^:\s]+")


def _check_regex(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    return pattern


def _check_sop_class(keyword: str) -> str:
    """Refuse a SOP class that pydicom does not know by this keyword."""
    if not isinstance(getattr(pydicom.uid, keyword.removeprefix("!"), None), pydicom.uid.UID):
        raise ValueError("expected a keyword of pydicom.uid, such as CTImageStorage")
    return keyword


def _check_code(code: str) -> str:
    if not _CODE.fullmatch(code):
        raise ValueError("expected SCHEME:VALUE, such as SCT:51185008")
    return code


Regex = Annotated[str, AfterValidator(_check_regex)]
SopClass = Annotated[str, AfterValidator(_check_sop_class)]
CodeValue = Annotated[str, AfterValidator(_check_code)]


class Range(BaseModel):
    """Numbers from `min` to `max`, both included; one of them may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("expected min, max or both, such as {min = 20}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("expected min below max")
        return self

    def holds(self, number: float) -> bool:
        """Tell whether a number lies in the range."""
        return (self.min is None or number >= self.min) and (self.max is None or number <= self.max)

    def __str__(self) -> str:
        if self.max is None:
            return f"at least {self.min:g}"
        return f"at most {self.max:g}" if self.min is None else f"{self.min:g} to {self.max:g}"


class Selector(BaseModel):
    """Criteria on an image and its series; one that is left out accepts everything.

    A list accepts any of its values, whatever their case; one that begins with "!" is excluded. A
    regular expression is searched in the text, whatever its case. Nothing asks who the patient is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    anatomy: tuple[CodeValue, ...] = ()
    procedure: tuple[CodeValue, ...] = ()
    sop_class: tuple[SopClass, ...] = ()
    view_position: tuple[str, ...] = ()
    laterality: tuple[str, ...] = ()
    image_type: tuple[str, ...] = ()
    scan_options: tuple[str, ...] = ()
    scanning_sequence: tuple[str, ...] = ()
    manufacturer: tuple[str, ...] = ()
    manufacturer_model: tuple[str, ...] = ()
    station: tuple[str, ...] = ()
    sender: tuple[str, ...] = ()
    sender_address: tuple[str, ...] = ()
    description: Regex = ""
    study_description: Regex = ""
    series_description: Regex = ""
    protocol: Regex = ""
    kernel: Regex = ""
    orientation: tuple[Orientation, ...] = ()
    contrast: bool | None = None
    slice_thickness_mm: Range | None = None
    pixel_spacing_mm: Range | None = None
    echo_time_ms: Range | None = None
    repetition_time_ms: Range | None = None
    field_strength_tesla: Range | None = None
    slices: Range | None = None
    slice_spacing_mm: Range | None = None


class InputSelector(Selector):
    """What one input of a model must look like, and which series to take when several do.

    `choose` names the one to take: `largest` has the most slices, `thinnest` the thinnest, `latest`
    was begun last; `all` takes each of them for a job of its own.
    """

    level: Literal["instance", "series"]
    required: bool = True
    choose: Choice = Field(default="all")
