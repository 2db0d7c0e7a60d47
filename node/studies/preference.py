"""Preference: which series an input takes when several fit, and why this one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from node.selector import Choice
from node.studies.positions import slice_spacing_mm
from node.studies.rules import Check, count_slices
from node.studies.traits import IndexedInstance, stated_number, when_begun

Images = Sequence[IndexedInstance]

# The digits of a date, a time of day and six of a fraction of a second (PS3.5 6.2, DA and TM).
_LONGEST_TIME = 20


@dataclass(frozen=True)
class _Standing:
    """How a series compares, the best the lowest, and what is said of it."""

    order: float
    said: str


def prefer_series(choose: Choice, series: Sequence[Images]) -> list[list[Check]]:
    """Return for each fitting series why it is or is not the one to take; nothing when all are.

    Of several that compare equal, the one with more slices goes first, then the lower SOP Instance UID.
    """
    if choose == "all" or not series:
        return [[] for _ in series]
    standings = [_stand(choose, images) for images in series]
    best = min(range(len(series)), key=lambda i: (standings[i].order, -count_slices(series[i]), _first_uid(series[i])))
    all_said = ", ".join(standing.said for standing in sorted(standings, key=lambda one: one.order))
    others = f"of {all_said}" if len(series) > 1 else "no other series fits"
    return [[Check(i == best, f"{choose}: {standing.said}, {others}")] for i, standing in enumerate(standings)]


def _stand(choose: Choice, images: Images) -> _Standing:
    match choose:
        case "thinnest":
            thickness = _thickness_mm(images)
            return _Standing(math.inf, "not stated") if thickness is None else _Standing(thickness, f"{thickness:g} mm")
        case "latest":
            begun = when_begun(images)
            return _Standing(-_as_number(begun), f"begun {begun}" if begun else "time not stated")
        case _:
            slices = count_slices(images)
            return _Standing(-slices, f"{slices} slices")


def _as_number(begun: str) -> int:
    """Return a date and time of day as a number that grows with them; 0 for none."""
    digits = "".join(letter for letter in begun if letter.isdigit())
    return int(digits.ljust(_LONGEST_TIME, "0")[:_LONGEST_TIME]) if digits else 0


def _thickness_mm(images: Images) -> float | None:
    """Return SliceThickness, or else the distance between slices; None when neither is stated."""
    stated = [thickness for image in images if (thickness := stated_number(image, "SliceThickness"))]
    return median(stated) if stated else slice_spacing_mm([image.header for image in images])


def _first_uid(images: Images) -> str:
    return min(image.sop_instance_uid for image in images)
