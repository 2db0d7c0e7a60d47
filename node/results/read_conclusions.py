"""What a receiver finds in a report of conclusions: classes with their probabilities, and estimates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.conclusion import ABOVE, BELOW


@dataclass(frozen=True)
class ReadEstimate:
    """A number as stored, in a UCUM unit, with the ends of its prediction interval."""

    value: float
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class ReadConclusion:
    """A group as stored, codes by their meaning: the class that was found, and the probability of every class.

    `images` are the SOP Instance UID and, in a multi-frame instance, the frame number of what it was drawn from.
    """

    label: str
    tracking_uid: str
    site: str
    side: str
    found: str
    probabilities: dict[str, float]
    estimate: ReadEstimate | None
    images: tuple[tuple[str, int | None], ...]


def read_conclusions(dataset: Dataset) -> list[ReadConclusion]:
    """Return the conclusions of a report of TID 1501 groups, in its order."""
    return [_read(group) for group in _below(dataset) if _name(group) == codes.DCM.MeasurementGroup.value]


def _read(group: Dataset) -> ReadConclusion:
    named = {_name(item): item for item in group.ContentSequence}
    site = named.get(codes.SCT.FindingSite.value)
    return ReadConclusion(
        label=str(named[codes.DCM.TrackingIdentifier.value].TextValue),
        tracking_uid=str(named[codes.DCM.TrackingUniqueIdentifier.value].UID),
        site="" if site is None else _meaning(site),
        side="" if site is None else "".join(_meaning(item) for item in _below(site)),
        found="".join(_meaning(item) for item in _contained(group, "CODE")),
        probabilities={
            _meaning(item.ContentSequence[0]): _number(item)
            for item in _contained(group, "NUM")
            if _name(item) == codes.DCM.Probability.value
        },
        estimate=_estimate(group, named),
        images=tuple(_image(item) for item in _below(group) if item.ValueType == "IMAGE"),
    )


def _estimate(group: Dataset, named: dict[str, Dataset]) -> ReadEstimate | None:
    if ABOVE.value not in named:
        return None
    first, *_ = _contained(group, "NUM")
    value = _number(first)
    return ReadEstimate(
        value=value,
        unit=str(first.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue),
        low=value - _number(named[BELOW.value]),
        high=value + _number(named[ABOVE.value]),
    )


def _image(item: Dataset) -> tuple[str, int | None]:
    (reference,) = item.ReferencedSOPSequence
    number = reference.get("ReferencedFrameNumber")
    return str(reference.ReferencedSOPInstanceUID), None if number is None else int(number)


def _contained(group: Dataset, value_type: str) -> Iterator[Dataset]:
    for item in group.ContentSequence:
        if item.ValueType == value_type and item.RelationshipType == "CONTAINS":
            yield item


def _below(parent: Dataset) -> Iterator[Dataset]:
    for item in parent.get("ContentSequence", []):
        yield item
        yield from _below(item)


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _meaning(item: Dataset) -> str:
    return str(item.ConceptCodeSequence[0].CodeMeaning)


def _number(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)
