"""Slices of healthy heads in T1, which the picture set lacks: there, T1 pictures all show a tumour."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.random import Generator

from node.errors import TrainingDataError
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.training.samples import Split
from node.vocabulary import Pixels

from .preprocess import look_at, upright

# A slice to judge lies in the middle of the head: further out it shows little but scalp.
MIDDLE = (0.2, 0.8)


def read_healthy(folder: Path, split: Split, per_plane: int, rng: Generator) -> Pixels:
    """Return (n, 128, 128, 1): of each volume of a split, slices across each of its three axes.

    The folder has subjects.csv with subject and split, and t1/SUBJECT*.nii.gz, as `brain_t1_ixi`. Raises
    TrainingDataError when it has not.
    """
    pictures = [
        look_at(turned.voxels[place], ~turned.padding[place])
        for path in healthy_files(folder, split)
        for volume in planes_of(read_volume_file(path, Unit.STORED))
        for turned in (upright(volume),)
        for place in _places(len(turned.voxels), per_plane, rng)
    ]
    return np.stack(pictures)[..., np.newaxis]


def healthy_files(folder: Path, split: Split) -> list[Path]:
    """Return the volumes of a split; raises TrainingDataError when there are none."""
    table = folder / "subjects.csv"
    if not table.is_file():
        raise TrainingDataError(f"{table}: missing; expected the folder of healthy T1 volumes beside the pictures")
    with table.open(newline="", encoding="utf-8") as opened:
        subjects = [row["subject"] for row in csv.DictReader(opened) if row["split"] == split]
    files = [path for subject in subjects for path in sorted((folder / "t1").glob(f"{subject}*.nii.gz"))]
    if not files:
        raise TrainingDataError(f"{folder}: no volume of the split {split} in t1/; complete the folder")
    return files


def planes_of(volume: Volume) -> list[Volume]:
    """Return the volume cut across each of its three axes."""
    return [_across(volume, axis) for axis in range(3)]


def _across(volume: Volume, axis: int) -> Volume:
    """Return the volume with `axis` as that of the slices."""
    order = (axis, *(other for other in range(3) if other != axis))
    shape = volume.voxels.shape
    grid = Grid(
        shape=(shape[order[0]], shape[order[1]], shape[order[2]]),
        origin_mm=volume.grid.origin_mm,
        steps_mm=tuple(volume.grid.steps_mm[index] for index in order),
    )
    return Volume(volume.voxels.transpose(order), grid, volume.unit, volume.padding.transpose(order), (), "")


def _places(count: int, wanted: int, rng: Generator) -> list[int]:
    low, high = MIDDLE
    return [int(share * (count - 1)) for share in rng.uniform(low, high, wanted)]
