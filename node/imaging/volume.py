"""The volume: voxels with their place in the patient, which the imaging step hands to a model."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from node.vocabulary import Mask

Voxels = NDArray[np.int16] | NDArray[np.float32]
Millimetres = NDArray[np.float64]


class Unit(StrEnum):
    """What a voxel's number means: HU, or stored values after the rescale that the header states."""

    HOUNSFIELD = "HU"
    STORED = "stored"


@dataclass(frozen=True)
class Grid:
    """Where voxels lie: (slice, row, column) indices to mm in the patient, LPS (PS3.3 C.7.6.2.1.1).

    `shape` is (slices, rows, columns). `origin_mm` is the (x, y, z) of the centre of voxel 0, 0, 0.
    `steps_mm` is (3, 3): its row k is the (x, y, z) step from one voxel to the next along axis k.
    Slices follow the normal of the image plane, so the steps form a right-handed system or its
    mirror image, never less.
    """

    shape: tuple[int, int, int]
    origin_mm: tuple[float, float, float]
    steps_mm: tuple[tuple[float, float, float], ...]

    @cached_property
    def affine(self) -> Millimetres:
        """Return the (4, 4) matrix that takes (slice, row, column, 1) to (x, y, z, 1) in mm, LPS."""
        affine = np.eye(4)
        affine[:3, :3] = np.array(self.steps_mm).T
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Return the distance between slices, rows and columns."""
        slices, rows, columns = np.linalg.norm(np.array(self.steps_mm), axis=1)
        return float(slices), float(rows), float(columns)

    @property
    def voxel_mm3(self) -> float:
        """Return the volume of one voxel."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    def position_mm(self, index: tuple[float, float, float]) -> Millimetres:
        """Return the (x, y, z) of a voxel given by (slice, row, column), fractions allowed."""
        return np.asarray((self.affine @ np.array([*index, 1.0]))[:3])

    def index_of(self, position_mm: Millimetres) -> Millimetres:
        """Return the fractional (slice, row, column) of a place in the patient."""
        return np.asarray((np.linalg.inv(self.affine) @ np.array([*position_mm, 1.0]))[:3])


def grid_with_spacing(grid: Grid, spacing_mm: tuple[float, float, float]) -> Grid:
    """Return a grid over the same box and along the same axes, with other (slice, row, column) distances.

    Voxels are counted to the nearest whole number, at least one; what does not divide is shared
    between both ends.
    """
    old = np.array(grid.spacing_mm)
    new = np.array(spacing_mm, np.float64)
    shape = np.maximum(1, np.rint(np.array(grid.shape) * old / new)).astype(int)
    directions = np.array(grid.steps_mm) / old[:, np.newaxis]
    first = (np.array(grid.shape) * old - shape * new) / 2 + (new - old) / 2
    origin = np.array(grid.origin_mm) + first @ directions
    steps = directions * new[:, np.newaxis]
    return Grid(
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        origin_mm=(float(origin[0]), float(origin[1]), float(origin[2])),
        steps_mm=tuple((float(step[0]), float(step[1]), float(step[2])) for step in steps),
    )


@dataclass(frozen=True)
class SliceSource:
    """Where a slice came from: an instance and, in a multi-frame one, the frame, counted from 1."""

    sop_instance_uid: str
    frame_number: int | None = None


@dataclass(frozen=True)
class Volume:
    """A series as voxels: (slices, rows, columns) in `unit`, in the order of position along the normal.

    `padding` is True where the scanner saw nothing (padding value, outside the field of view); such
    voxels hold the lowest value of the rest. `sources` has one entry per slice, and none where the volume
    was resampled or read from a file; `frame_of_reference_uid` is "" where a file does not know it.
    """

    voxels: Voxels
    grid: Grid
    unit: Unit
    padding: Mask
    sources: tuple[SliceSource, ...]
    frame_of_reference_uid: str
