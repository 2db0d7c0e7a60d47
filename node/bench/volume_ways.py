"""The ways of reading a series from disk to a volume of HU: the node's, the obvious one, and SimpleITK's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from node.archive import Archive
from node.bench.facts import volume_facts
from node.bench.performing import Performance
from node.imaging.series import read_volume

Voxels = NDArray[Any]


def with_radnode(root: str) -> Performance:
    """Read as a worker does: kept instances from the archive, then one volume."""
    archive = Archive(Path(root))

    def perform(series: str) -> Voxels:
        return read_volume(list(archive.read_all(str(path.relative_to(root)) for path in _files(series)))).voxels

    return Performance(perform, volume_facts)


def with_pydicom(_root: str) -> Performance:
    """Read as most scripts do: pixel arrays, rescaled and stacked in order of position."""
    return Performance(_stack, volume_facts)


def with_simpleitk(_root: str) -> Performance:
    """Read with SimpleITK's reader of series, which finds the order itself, of files in one folder."""

    def perform(series: str) -> Voxels:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(f"{series}/flat"))
        voxels: Voxels = SimpleITK.GetArrayFromImage(reader.Execute())
        return voxels

    return Performance(perform, volume_facts)


def _stack(series: str) -> Voxels:
    datasets = sorted((dcmread(path) for path in _files(series)), key=lambda one: one.ImagePositionPatient[2])
    slices = [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in datasets]
    return np.stack(slices)


def _files(series: str) -> list[Path]:
    return sorted(path for path in Path(series).rglob("*.dcm") if path.parent.name != "flat")
