"""Where slices lie in the patient: read from their headers, checked, and stacked into one grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from pydicom.dataset import Dataset

from node.errors import (
    GantryTilt,
    MissingGeometry,
    MixedFramesOfReference,
    MixedImages,
    MixedOrientation,
    RepeatedPositions,
    SingleSlice,
    UnevenSlices,
)
from node.imaging.alike import once_if_alike
from node.imaging.attributes import NumberReader, words
from node.imaging.volume import Grid, Millimetres
from node.plain_values import read_text

DIRECTION_WITHIN = 1e-4  # of a component of a unit vector: headers write four to six decimals
SQUARE_WITHIN = 1e-3  # how far two directions may be from unit length and a right angle
SPACING_WITHIN = 1e-4  # relative
STEP_WITHIN = 0.02  # relative to the median step: real headers round
REPEATED_WITHIN_MM = 1e-3
SIDEWAYS_WITHIN = 0.5  # of a pixel, over the whole stack
UNTILTED_DEGREES = 0.5
MOST_PIXELS = 65535  # across a slice: Rows and Columns have 16 bits


@dataclass(frozen=True)
class Plane:
    """Where one slice lies: mm in the patient, LPS (PS3.3 C.7.6.2.1.1).

    `along_row` is the unit vector in which columns are counted, `along_column` that of rows;
    `spacing_mm` is (between rows, between columns), `shape` (rows, columns). `name` is what a refusal
    calls the slice. `tilt_degrees` is the gantry's where the header states one of an original image.
    """

    name: str
    position_mm: Millimetres
    along_row: Millimetres
    along_column: Millimetres
    spacing_mm: tuple[float, float]
    shape: tuple[int, int]
    frame_of_reference_uid: str
    tilt_degrees: float = 0.0

    @property
    def normal(self) -> Millimetres:
        """Return the unit vector from the image plane towards the next slices."""
        return np.asarray(np.cross(self.along_row, self.along_column), np.float64)


@dataclass(frozen=True)
class Stack:
    """Slices in the order of position along their normal, as indices into what was given, and their grid."""

    order: tuple[int, ...]
    grid: Grid


def read_plane(header: Dataset, name: str) -> Plane:
    """Return where a slice lies; raises MissingGeometry that calls it `name`."""
    place = _read_but_position(header, name)
    return place(name=name, position_mm=np.array(_numbers(header, "ImagePositionPatient", 3, name)))


@once_if_alike(
    "ImageOrientationPatient",
    "Rows",
    "Columns",
    "PixelSpacing",
    "FrameOfReferenceUID",
    "FrameType",
    "ImageType",
    "GantryDetectorTilt",
)
def _read_but_position(header: Dataset, name: str) -> partial[Plane]:
    """Return a plane that lacks its name and its position."""
    along_row, along_column = _directions(header, name)
    rows, columns = _numbers(header, "Rows", 1, name)[0], _numbers(header, "Columns", 1, name)[0]
    spacing = _numbers(header, "PixelSpacing", 2, name)
    frame_of_reference = read_text(header, "FrameOfReferenceUID")
    if min(*spacing, rows, columns) <= 0 or max(rows, columns) > MOST_PIXELS:
        raise MissingGeometry(
            f"{name}: Rows, Columns, PixelSpacing: found {list(spacing)} mm for {rows:g} by {columns:g} pixels, "
            f"expected distances above 0 and 1 to {MOST_PIXELS} pixels; correct the header and send again"
        )
    if not frame_of_reference:
        raise MissingGeometry(
            f"{name}: FrameOfReferenceUID: found none, expected the one its position refers to; have the modality "
            "send it"
        )
    return partial(
        Plane,
        along_row=along_row,
        along_column=along_column,
        spacing_mm=(spacing[0], spacing[1]),
        shape=(int(rows), int(columns)),
        frame_of_reference_uid=frame_of_reference,
        tilt_degrees=_tilt_degrees(header),
    )


def stack_planes(planes: Sequence[Plane]) -> Stack:
    """Return the order and the grid of slices that form one volume; raises the SeriesRefused that fits.

    The grid's slice step is the mean step along the normal. Every slice then lies within half a
    pixel and half a step of its place on the grid.
    """
    if len(planes) < 2:
        raise SingleSlice(
            f"ImagePositionPatient: found {len(planes)} slice(s), expected at least 2 to make a volume; send the "
            "whole series, or route single slices to a model made for them"
        )
    check_alike(planes)
    distances = np.array([plane.position_mm for plane in planes]) @ planes[0].normal
    order = np.argsort(distances, kind="stable")
    ordered = [planes[index] for index in order]
    _check_repeated(ordered, distances[order])
    _check_sideways(ordered)
    _check_steps(ordered, distances[order])
    step = float(distances[order[-1]] - distances[order[0]]) / (len(planes) - 1)
    return Stack(tuple(int(index) for index in order), _grid(ordered[0], len(planes), step))


def stack_single(plane: Plane, header: Dataset) -> Stack:
    """Return the grid of one slice, as thick as its header states; raises MissingGeometry if it does not."""
    thickness = _numbers(header, "SliceThickness", 1, plane.name)[0]
    if thickness <= 0:
        raise MissingGeometry(
            f"{plane.name}: SliceThickness: found {thickness:g} mm, expected more than 0; correct the header and send "
            "again"
        )
    return Stack((0,), _grid(plane, 1, thickness))


def check_alike(planes: Sequence[Plane]) -> None:
    """Refuse slices of different size or spacing, in different planes or frames of reference."""
    first = planes[0]
    other = _first_unlike(planes, [(*plane.shape, *plane.spacing_mm) for plane in planes], SPACING_WITHIN, 0)
    if other:
        raise MixedImages(
            f"{other.name}: Rows, Columns, PixelSpacing: found {_size(other)}, expected {_size(first)} as in "
            f"{first.name}; send images of one size in a series"
        )
    directions = [(*plane.along_row, *plane.along_column) for plane in planes]
    other = _first_unlike(planes, directions, 0, DIRECTION_WITHIN)
    if other:
        raise MixedOrientation(
            f"{other.name}: ImageOrientationPatient: found {_written(other)}, expected {_written(first)} as in "
            f"{first.name}; send one orientation in a series"
        )
    frames = {plane.frame_of_reference_uid for plane in planes}
    if len(frames) > 1:
        raise MixedFramesOfReference(
            f"FrameOfReferenceUID: found {len(frames)} different ones in {len(planes)} slices, expected one, without "
            "which positions cannot be compared; if a de-identifier replaced them, have it keep one for a series, "
            "and send again"
        )


def _first_unlike(
    planes: Sequence[Plane], numbers: Sequence[Sequence[float]], relative: float, absolute: float
) -> Plane | None:
    """Return the first plane whose numbers differ from those of the first plane."""
    table = np.array(numbers, np.float64)
    alike = np.isclose(table, table[0], relative, absolute).all(axis=1)
    return None if alike.all() else planes[int(np.argmin(alike))]


def is_parallel(plane: Plane, other: Plane) -> bool:
    """Say whether two slices have the same row and column directions."""
    return np.allclose(plane.along_row, other.along_row, 0, DIRECTION_WITHIN) and np.allclose(
        plane.along_column, other.along_column, 0, DIRECTION_WITHIN
    )


def _directions(header: Dataset, name: str) -> tuple[Millimetres, Millimetres]:
    """Return the row and column directions, made exactly square; refuse what is not nearly so."""
    stated = _numbers(header, "ImageOrientationPatient", 6, name)
    directions = _square(stated)
    if directions is None:
        raise MissingGeometry(
            f"{name}: ImageOrientationPatient: found {list(stated)}, expected two unit vectors at a right angle; "
            "correct the header and send again"
        )
    return directions


@lru_cache(maxsize=64)  # the slices of a series have one
def _square(stated: tuple[float, ...]) -> tuple[Millimetres, Millimetres] | None:
    """Return two directions that are nearly of unit length and square made so exactly, None for any others."""
    values = np.array(stated)
    row, column = values[:3], values[3:]
    lengths = math.sqrt(row @ row), math.sqrt(column @ column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column))) > SQUARE_WITHIN:
        return None
    row = row / lengths[0]
    column = column - (column @ row) * row
    return row, column / math.sqrt(column @ column)


def _numbers(header: Dataset, keyword: str, count: int, name: str) -> tuple[float, ...]:
    numbers = NumberReader(header, MissingGeometry).all(keyword)
    if len(numbers) != count:
        raise MissingGeometry(
            f"{name}: {keyword}: found {list(numbers) or 'none'}, expected {count} number(s); a slice without a "
            "place in the patient cannot be used, correct the header and send again"
        )
    return numbers


def _tilt_degrees(header: Dataset) -> float:
    """Return the stated tilt of an original image; a reformatted one no longer lies in the gantry's plane."""
    is_original = "ORIGINAL" in (words(header, "FrameType") or words(header, "ImageType"))
    return (NumberReader(header, MissingGeometry).first("GantryDetectorTilt") or 0.0) if is_original else 0.0


def _check_repeated(planes: Sequence[Plane], distances_mm: Millimetres) -> None:
    repeated = np.flatnonzero(np.diff(distances_mm) < REPEATED_WITHIN_MM)
    if repeated.size:
        first = int(repeated[0])
        raise RepeatedPositions(
            f"ImagePositionPatient: found {planes[first].name} and {planes[first + 1].name} both at "
            f"{distances_mm[first]:.2f} mm along the normal ({repeated.size} such pair(s) in {len(planes)} slices), "
            "expected one slice at a place; send phases, echoes or repeats as series of their own"
        )


def _check_sideways(planes: Sequence[Plane]) -> None:
    """Refuse a stack that leaves the normal by more than half a pixel, or whose gantry was tilted unseen."""
    first = planes[0]
    offsets = np.array([plane.position_mm - first.position_mm for plane in planes])
    sideways = np.abs(np.stack([offsets @ first.along_column, offsets @ first.along_row], axis=1))
    worst = sideways.max(axis=0)
    if (worst > SIDEWAYS_WITHIN * np.array(first.spacing_mm)).any():
        raise GantryTilt(
            f"ImagePositionPatient: found slices shifted by {worst.max():.2f} mm sideways over the stack, expected "
            f"less than half a pixel; the gantry was tilted (GantryDetectorTilt {first.tilt_degrees:g}), or slices "
            "are missing on a curve; send a series reformatted to straight slices"
        )
    tilted = [plane for plane in planes if abs(plane.tilt_degrees) > UNTILTED_DEGREES]
    if tilted:
        raise GantryTilt(
            f"{tilted[0].name}: GantryDetectorTilt: found {tilted[0].tilt_degrees:g} degrees with positions that show "
            "no tilt, expected either both or none; correct the header, or send a series reformatted to straight "
            "slices"
        )


def _check_steps(planes: Sequence[Plane], distances_mm: Millimetres) -> None:
    """Refuse a step off the median, and steps that add up to half a slice off the grid."""
    steps = np.diff(distances_mm)
    median = float(np.median(steps))
    worst = int(np.argmax(np.abs(steps - median)))
    if abs(steps[worst] - median) > STEP_WITHIN * median:
        raise UnevenSlices(
            f"ImagePositionPatient: found a step of {steps[worst]:.3f} mm between {distances_mm[worst]:.2f} and "
            f"{distances_mm[worst + 1]:.2f} mm along the normal ({planes[worst].name} to {planes[worst + 1].name}), "
            f"expected {median:.3f} mm within {STEP_WITHIN:.0%}; {_likely_cause(float(steps[worst]) / median)}"
        )
    even = np.linspace(distances_mm[0], distances_mm[-1], len(planes))
    drift = np.abs(distances_mm - even)
    if drift.max() > SIDEWAYS_WITHIN * median:
        raise UnevenSlices(
            f"ImagePositionPatient: found {planes[int(np.argmax(drift))].name} {drift.max():.3f} mm from where even "
            f"slices of {median:.3f} mm would put it, expected less than half a step; send a series of even slices"
        )


def _likely_cause(ratio: float) -> str:
    missing = round(ratio) - 1
    if missing >= 1 and abs(ratio - round(ratio)) <= STEP_WITHIN * ratio:
        return f"{missing} slice(s) are missing there, send the whole series again"
    return "send a series of even slices"


def _grid(first: Plane, slices: int, step_mm: float) -> Grid:
    steps = (
        first.normal * step_mm,
        first.along_column * first.spacing_mm[0],
        first.along_row * first.spacing_mm[1],
    )
    return Grid(
        shape=(slices, *first.shape),
        origin_mm=_triple(first.position_mm),
        steps_mm=tuple(_triple(step) for step in steps),
    )


def _triple(vector: Millimetres) -> tuple[float, float, float]:
    return float(vector[0]), float(vector[1]), float(vector[2])


def _size(plane: Plane) -> str:
    return f"{plane.shape[0]} by {plane.shape[1]} pixels of {list(plane.spacing_mm)} mm"


def _written(plane: Plane) -> str:
    return "\\".join(f"{component:.4f}" for component in (*plane.along_row, *plane.along_column))
