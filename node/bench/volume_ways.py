"""The ways of reading a series from disk to a volume of HU: the node's, the obvious one, and SimpleITK's."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from pydicom import dcmread

from node.archive import Archive
from node.bench.performing import Performance
from node.imaging.series import read_volume

Voxels = NDArray[Any]


def with_radnode(folder: str) -> Performance:
    """Read as a worker does: kept instances from the archive, then one volume."""
    archive = Archive(Path(folder))
    names = [str(path.relative_to(folder)) for path in _files(folder)]
    return _performance(lambda: read_volume([archive.read(name) for name in names]).voxels)


def with_pydicom(folder: str) -> Performance:
    """Read as most scripts do: pixel arrays, rescaled and stacked in order of position."""
    return _performance(lambda: _stack(folder))


def with_simpleitk(folder: str) -> Performance:
    """Read with SimpleITK's reader of series, which finds the files and their order itself."""
    copies = _flat_folder(folder)

    def perform() -> Voxels:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(copies)))
        voxels: Voxels = SimpleITK.GetArrayFromImage(reader.Execute())
        return voxels

    return _performance(perform)


def _performance(perform: Callable[[], Voxels]) -> Performance:
    """State the size and a checksum of the HU, by which the ways can be seen to agree."""
    return Performance(perform, lambda voxels: {"voxels": voxels.size, "checksum": _checksum(voxels)})


def _stack(folder: str) -> Voxels:
    datasets = sorted((dcmread(path) for path in _files(folder)), key=lambda one: one.ImagePositionPatient[2])
    slices = [one.pixel_array * float(one.RescaleSlope) + float(one.RescaleIntercept) for one in datasets]
    return np.stack(slices)


def _checksum(voxels: Voxels) -> str:
    return f"{zlib.crc32(voxels.astype(np.int16).tobytes()):08x}"


def _files(folder: str) -> list[Path]:
    return sorted((Path(folder) / "series").rglob("*.dcm"))


def _flat_folder(folder: str) -> Path:
    """Return a folder with links to all files, for a reader that looks into one folder."""
    flat = Path(folder) / "flat"
    flat.mkdir(exist_ok=True)
    for path in _files(folder):
        (flat / path.name).symlink_to(path)
    return flat
