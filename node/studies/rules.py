"""Criteria: what a selector asks of like instances and of their series, and a sentence for each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from node.selector import Range, Selector
from node.studies.positions import slice_spacing_mm
from node.studies.traits import IndexedInstance, Traits

# A criterion of Selector, and what it is called in a sentence.
_LISTS = {
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "anatomy": "AnatomicRegionSequence",
    "procedure": "ProcedureCodeSequence",
    "sop_class": "SOP class",
    "view_position": "ViewPosition",
    "laterality": "laterality",
    "image_type": "ImageType",
    "scan_options": "ScanOptions",
    "scanning_sequence": "ScanningSequence",
    "manufacturer": "Manufacturer",
    "manufacturer_model": "ManufacturerModelName",
    "station": "StationName",
    "sender": "sender",
    "sender_address": "sender's address",
    "orientation": "orientation",
}
_PATTERNS = {
    "study_description": "StudyDescription",
    "series_description": "SeriesDescription",
    "protocol": "ProtocolName",
    "kernel": "ConvolutionKernel",
}
_RANGES = {
    "slice_thickness_mm": ("SliceThickness", " mm"),
    "pixel_spacing_mm": ("PixelSpacing", " mm"),
    "echo_time_ms": ("EchoTime", " ms"),
    "repetition_time_ms": ("RepetitionTime", " ms"),
    "field_strength_tesla": ("MagneticFieldStrength", " T"),
}


@dataclass(frozen=True)
class Check:
    """One criterion that was looked at: whether it is met, and what was found and expected."""

    is_met: bool
    sentence: str


def check_instance(selector: Selector, traits: Traits, owner: str = "") -> list[Check]:
    """Look at every criterion on a single instance, also after one has failed.

    `owner` ends each sentence and says whose criterion it is.
    """
    checks = [*_check_lists(selector, traits), *_check_texts(selector, traits), *_check_numbers(selector, traits)]
    return [Check(check.is_met, check.sentence + owner) for check in checks]


def check_series(selector: Selector, instances: Sequence[IndexedInstance], owner: str = "") -> list[Check]:
    """Look at every criterion on the chosen instances of a series together."""
    checks = []
    if selector.slices is not None:
        checks.append(_in_range("slices", float(count_slices(instances)), selector.slices, ""))
    if selector.slice_spacing_mm is not None:
        found = slice_spacing_mm([instance.header for instance in instances])
        checks.append(_in_range("distance between slices", found, selector.slice_spacing_mm, " mm"))
    return [Check(check.is_met, check.sentence + owner) for check in checks]


def count_slices(instances: Iterable[IndexedInstance]) -> int:
    """Count the images: every frame of a multi-frame instance is one."""
    return sum(instance.frames for instance in instances)


def _check_lists(selector: Selector, traits: Traits) -> Iterator[Check]:
    for criterion, name in _LISTS.items():
        expected: tuple[str, ...] = getattr(selector, criterion)
        if expected:
            found = getattr(traits, criterion)
            yield _one_of(name, found if isinstance(found, tuple) else (found or "",), expected)


def _check_texts(selector: Selector, traits: Traits) -> Iterator[Check]:
    if selector.description:
        yield _search("description", (traits.study_description, traits.series_description), selector.description)
    for criterion, name in _PATTERNS.items():
        pattern: str = getattr(selector, criterion)
        if pattern:
            yield _search(name, (getattr(traits, criterion),), pattern)


def _check_numbers(selector: Selector, traits: Traits) -> Iterator[Check]:
    for criterion, (name, unit) in _RANGES.items():
        expected: Range | None = getattr(selector, criterion)
        if expected is not None:
            yield _in_range(name, getattr(traits, criterion), expected, unit)
    if selector.contrast is not None:
        is_met = traits.contrast == selector.contrast
        wanted = "a contrast agent" if selector.contrast else "no contrast agent"
        yield Check(is_met, f"ContrastBolusAgent {traits.contrast_agent!r} {_verb(is_met)} {wanted}")


def _one_of(name: str, found: tuple[str, ...], expected: tuple[str, ...]) -> Check:
    """Check values against a list, ignoring case; with "!" a value must be none of them."""
    values = {value.casefold() for value in found} or {""}
    wanted = [value for value in expected if not value.startswith("!")]
    unwanted = [value.removeprefix("!") for value in expected if value.startswith("!")]
    is_met = not wanted or any(value.casefold() in values for value in wanted)
    is_met = is_met and not any(value.casefold() in values for value in unwanted)
    asked = " and ".join(filter(None, [_quote(wanted), f"not {_quote(unwanted)}" if unwanted else ""]))
    return Check(is_met, f"{name} {_spell(found)} {_verb(is_met)} {asked}")


def _search(name: str, texts: tuple[str, ...], pattern: str) -> Check:
    is_met = any(re.search(pattern, text, re.IGNORECASE) for text in texts)
    return Check(is_met, f"{name} {_quote(texts)} {_verb(is_met)} {pattern!r}")


def _in_range(name: str, found: float | None, expected: Range, unit: str) -> Check:
    is_met = found is not None and expected.holds(found)
    said = "not stated" if found is None else f"{found:g}{unit}"
    return Check(is_met, f"{name} {said} {_verb(is_met)} {expected}{unit}")


def _verb(is_met: bool) -> str:
    return "matches" if is_met else "does not match"


def _spell(found: tuple[str, ...]) -> str:
    return f"'{chr(92).join(found)}'"


def _quote(values: Iterable[str]) -> str:
    return " or ".join(repr(value) for value in values)
