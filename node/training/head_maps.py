"""Reads label maps of whole heads, each voxel named as in FreeSurfer, and says which tissue they hold."""

from __future__ import annotations

import tarfile
import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.errors import TrainingDataError
from node.imaging.itk import grid_of
from node.imaging.volume import Grid
from node.vocabulary import Mask, Pixels

Labels = NDArray[np.uint8]

# FreeSurfer structures up to 85; what lies outside the brain from 502 on.
LABELS = (
    *(0, 2, 3, 4, 5, 7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18, 24, 25, 26, 28, 30),
    *(41, 42, 43, 44, 46, 47, 49, 50, 51, 52, 53, 54, 57, 58, 60, 62, 72, 85, 136, 137, 163, 164),
    *(502, 506, 507, 508, 509, 511, 512, 514, 515, 516, 530),
)
GREY_MATTER = (3, 8, 10, 11, 12, 13, 17, 18, 26, 42, 47, 49, 50, 51, 52, 53, 54, 58)
WHITE_MATTER = (2, 7, 16, 41, 46)
VENTRICLES = (4, 5, 14, 15, 43, 44, 72)
OUTER_FLUID = (24,)
# Lesions, vessels, ventral diencephalon, chiasm and what the source does not name: brain, of no certain tissue.
UNCERTAIN = (25, 28, 30, 57, 60, 62, 85, 136, 137, 163, 164)

FINE_PER_VOXEL = 2  # 1 mm of the map to 2 mm of `HeadMap.grid`
MARGIN = 8


@dataclass(frozen=True, eq=False)
class HeadMap:
    """The labels of one head at 1 mm, as places in LABELS: slices to the head, rows to the back, columns to the left.

    `grid` is that of 2 mm voxels over the same box: two labels along each axis make one voxel.
    """

    labels: Labels
    grid: Grid

    def average(self, values: Pixels) -> Pixels:
        """Return, on `grid`, the mean over each voxel of the value that every label has."""
        return _average_blocks(values.astype(np.float32)[self.labels])

    def share(self, labels: tuple[int, ...]) -> Pixels:
        """Return, on `grid`, how much of each voxel these labels fill, 0..1."""
        values = np.zeros(len(LABELS), np.float32)
        values[[LABELS.index(label) for label in labels]] = 1.0
        return self.average(values)

    @cached_property
    def air(self) -> Pixels:
        """Return the share of air."""
        return self.share((0,))

    @cached_property
    def brain(self) -> Mask:
        """Return where grey or white matter fills most of a voxel."""
        return self.share(GREY_MATTER + WHITE_MATTER) > 0.5


def read_head_maps(folder: Path) -> list[HeadMap]:
    """Return every `head_*.nii` in the folder or in its `maps.tar.xz`; raises TrainingDataError if there is none."""
    archive = folder / "maps.tar.xz"
    if not archive.is_file():
        return _read_files(folder)
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(archive) as maps:
        maps.extractall(unpacked, filter="data")
        return _read_files(Path(unpacked))


def _read_files(folder: Path) -> list[HeadMap]:
    files = sorted(folder.glob("head_*.nii*"))
    if not files:
        raise TrainingDataError(f"{folder}: found no maps.tar.xz and no head_*.nii; see brain_labels_synthseg")
    return [_read_map(file) for file in files]


def _read_map(file: Path) -> HeadMap:
    image = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(file)), "LPS")
    values = SimpleITK.GetArrayFromImage(image)
    unknown = np.setdiff1d(np.unique(values), LABELS)
    if unknown.size:
        raise TrainingDataError(f"{file.name}: found labels {unknown.tolist()}, expected the LABELS of {__name__}")
    box = _even_box(values != 0)
    labels = np.searchsorted(LABELS, values[box]).astype(np.uint8)
    fine = grid_of(image)
    start = [part.start + (FINE_PER_VOXEL - 1) / 2 for part in box]
    x, y, z = (float(value) for value in fine.position_mm((start[0], start[1], start[2])))
    steps = tuple((FINE_PER_VOXEL * dx, FINE_PER_VOXEL * dy, FINE_PER_VOXEL * dz) for dx, dy, dz in fine.steps_mm)
    slices, rows, columns = (size // FINE_PER_VOXEL for size in labels.shape)
    return HeadMap(labels, Grid((slices, rows, columns), (x, y, z), steps))


def _even_box(inside: Mask) -> tuple[slice, slice, slice]:
    """Return the box of the head with a margin, of even size."""
    parts = []
    for axis in range(3):
        along = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != axis)))
        first = max(0, int(along[0]) - MARGIN)
        last = min(inside.shape[axis], int(along[-1]) + 1 + MARGIN)
        parts.append(slice(first, last - (last - first) % FINE_PER_VOXEL))
    return parts[0], parts[1], parts[2]


def _average_blocks(values: Pixels) -> Pixels:
    slices, rows, columns = values.shape
    pairs = values.reshape(slices // 2, 2, rows // 2, 2, columns // 2, 2)
    return np.asarray(pairs.mean(axis=(1, 3, 5)), np.float32)
