"""Where slices lie along their normal: which way they face, how far apart, and whether one is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from node.selector import Orientation

Vector = tuple[float, float, float]

OBLIQUE_DEGREES = 30.0  # a gantry tilts no further; beyond that a slice is called oblique
_PLANES: tuple[Orientation, ...] = ("sagittal", "coronal", "axial")  # by the patient axis x, y, z of the normal
_AXES = ("x", "y", "z")
_SAME_POSITION_MM = 0.01
_FEWEST_SLICES = 4
_REGULAR_SHARE = 0.8
_STEP_TOLERANCE = 0.1
_HOLE_STEPS = 1.5


@dataclass(frozen=True)
class SliceGap:
    """A hole in a regular stack: where along the patient axis the first missing slice belongs, and how many miss."""

    axis: str
    position_mm: float
    missing: int

    def __str__(self) -> str:
        return f"gap at {self.axis} = {self.position_mm:.1f} mm ({self.missing} missing)"


def orientation_of(header: Mapping[str, Any]) -> Orientation | None:
    """Return the plane of ImageOrientationPatient, or None when the header states none."""
    normal = slice_normal(header)
    if normal is None:
        return None
    axis = max(range(3), key=lambda i: abs(normal[i]))
    is_oblique = abs(normal[axis]) < math.cos(math.radians(OBLIQUE_DEGREES))
    return "oblique" if is_oblique else _PLANES[axis]


def slice_normal(header: Mapping[str, Any]) -> Vector | None:
    """Return the unit normal of the slice in the patient (PS3.3 C.7.6.2.1.1), or None."""
    cosines = _numbers(header.get("ImageOrientationPatient"))
    if len(cosines) != 2 * len(_AXES):
        return None
    (a, b, c), (d, e, f) = cosines[:3], cosines[3:]
    normal = (b * f - c * e, c * d - a * f, a * e - b * d)
    length = math.hypot(*normal)
    return (normal[0] / length, normal[1] / length, normal[2] / length) if length else None


def slice_positions(headers: Sequence[Mapping[str, Any]]) -> list[float]:
    """Return the different distances (mm) of the slices along the normal of the first, sorted.

    Slices that face another way or state no position are left out.
    """
    normal = next((found for header in headers if (found := slice_normal(header))), None)
    if normal is None:
        return []
    alike = [header for header in headers if _is_parallel(slice_normal(header), normal)]
    distances = sorted(_along(point, normal) for header in alike for point in _points(header))
    return [after for before, after in pairwise([-math.inf, *distances]) if after - before > _SAME_POSITION_MM]


def slice_spacing_mm(headers: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the median distance between neighbouring slices; None for fewer than two positions."""
    positions = slice_positions(headers)
    return median(_steps(positions)) if len(positions) > 1 else None


def find_gap(headers: Sequence[Mapping[str, Any]]) -> SliceGap | None:
    """Return the first hole in an otherwise regular stack of slices, or None.

    A stack of several spacings, as of a head in two blocks, is no stack with a hole.
    """
    positions = slice_positions(headers)
    if len(positions) < _FEWEST_SLICES:
        return None
    steps = _steps(positions)
    usual = median(steps)
    regular = [step for step in steps if abs(step - usual) <= _STEP_TOLERANCE * usual]
    holes = [(at, step) for at, step in zip(positions, steps, strict=False) if step >= _HOLE_STEPS * usual]
    if not holes or len(regular) < _REGULAR_SHARE * len(steps) or len(regular) + len(holes) < len(steps):
        return None
    normal = next(found for header in headers if (found := slice_normal(header)))
    axis = max(range(3), key=lambda i: abs(normal[i]))
    missing = sum(round(step / usual) - 1 for _, step in holes)
    return SliceGap(_AXES[axis], (holes[0][0] + usual) / normal[axis], missing)


def _steps(positions: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(positions)]


def _points(header: Mapping[str, Any]) -> list[list[float]]:
    """Return ImagePositionPatient of the instance, or of each of its frames."""
    stated = header.get("ImagePositionPatient") or []
    points = stated if stated and isinstance(stated[0], list) else [stated]
    return [numbers for point in points if len(numbers := _numbers(point)) == len(_AXES)]


def _numbers(value: Any) -> list[float]:
    return [float(item) for item in value if isinstance(item, int | float)] if isinstance(value, list) else []


def _along(point: Sequence[float], normal: Vector) -> float:
    return sum(a * b for a, b in zip(point, normal, strict=True))


def _is_parallel(found: Vector | None, normal: Vector) -> bool:
    return found is not None and all(abs(a - b) < _SAME_POSITION_MM for a, b in zip(found, normal, strict=True))
