"""Reads pictures of any kind, chests or not, from the files that hold them."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset

from node.errors import StudyRefused, TrainingDataError
from node.imaging.image import PlanarImage
from node.imaging.radiograph import read_radiograph
from node.imaging.series import read_volume
from node.imaging.volume import Unit, Volume
from node.vocabulary import Pixels

LONGEST_SIDE = 512
# Windows of a CT slice in HU: lung, soft tissue, bone.
CT_WINDOWS = ((-1200.0, 200.0), (-160.0, 240.0), (-500.0, 1300.0))
GREY_PERCENTILES = (0.5, 99.5)
SLICES_PER_AXIS = 6


@dataclass(frozen=True)
class NamedPicture:
    """A picture, what it is called, whose it is, and the kind of source it is from."""

    name: str
    patient: str
    group: str
    image: PlanarImage


def planar(pixels: Pixels) -> PlanarImage:
    """Return grey values 0..1 as a picture of which nothing else is known."""
    return PlanarImage(pixels, np.zeros(pixels.shape, np.bool_))


def read_table(file: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; raises TrainingDataError when there is none."""
    if not file.is_file():
        raise TrainingDataError(f"{file}: missing; --data needs the folder that holds {file.parent.name}/")
    with file.open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def read_grey(path: Path) -> PlanarImage:
    """Return a PNG or JPEG as grey, its longest side at most 512 pixels."""
    with Image.open(path) as opened:
        grey = opened.convert("L")
        grey.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
        return planar(np.asarray(grey, np.float32) / 255.0)


def read_archived_instances(archive: Path) -> list[Dataset]:
    """Return the images in a .tar.xz of DICOM files."""
    if not archive.is_file():
        raise TrainingDataError(f"{archive}: missing; --data needs the folder that holds {archive.parent.name}/")
    with tarfile.open(archive) as opened:
        files = [opened.extractfile(member) for member in opened if member.name.endswith(".dcm")]
        instances = [pydicom.dcmread(io.BytesIO(file.read()), force=True) for file in files if file]
    return [instance for instance in instances if "PixelData" in instance]


def read_archived_volume(archive: Path) -> Volume:
    """Return the volume of a series kept as .tar.xz; one whose frame of reference a de-identifier broke is mended."""
    instances = read_archived_instances(archive)
    for instance in instances:
        instance.FrameOfReferenceUID = instances[0].get("FrameOfReferenceUID", "")
    return read_volume(instances)


def read_radiographs(folder: Path) -> Iterator[tuple[Path, PlanarImage]]:
    """Yield every DICOM file of a folder that the node would read as a radiograph."""
    for path in sorted(folder.glob("*.dcm")):
        try:
            yield path, read_radiograph(pydicom.dcmread(path))
        except StudyRefused:
            continue


def section_of(instance: Dataset) -> PlanarImage:
    """Return a single CT slice as a picture."""
    return planar(_stretch(instance.pixel_array.astype(np.float32)))


def slices_of(volume: Volume) -> Iterator[PlanarImage]:
    """Yield slices of a volume along each of its axes, evenly from its middle two thirds."""
    for axis, length in enumerate(volume.voxels.shape):
        for number, index in enumerate(np.linspace(length / 6, 5 * length / 6, SLICES_PER_AXIS).astype(int)):
            section = np.take(volume.voxels, index, axis).astype(np.float32)
            yield planar(_grey(section, volume.unit, number))


def project(volume: Volume, axis: int) -> PlanarImage:
    """Return what an X-ray along an axis of an axial CT would show, its last slice at the top."""
    attenuation = np.clip(volume.voxels.astype(np.float32) / 1000.0 + 1.0, 0.0, 2.5)
    attenuation[volume.padding] = 0.0
    shadow = _stretch(attenuation.sum(axis=axis)[::-1])
    slice_mm, row_mm, column_mm = volume.grid.spacing_mm
    across_mm = column_mm if axis == 1 else row_mm
    rows = max(1, round(shadow.shape[0] * slice_mm / across_mm))
    tall = Image.fromarray(shadow).resize((shadow.shape[1], rows), Image.Resampling.BILINEAR)
    return planar(np.asarray(tall, np.float32))


def _grey(section: NDArray[np.float32], unit: Unit, number: int) -> Pixels:
    """Return a slice as a viewer would show it: CT in one of the usual windows, MR stretched."""
    if unit is not Unit.HOUNSFIELD:
        return _stretch(section)
    low, high = CT_WINDOWS[number % len(CT_WINDOWS)]
    return np.asarray(np.clip((section - low) / (high - low), 0.0, 1.0), np.float32)


def _stretch(section: NDArray[np.float32]) -> Pixels:
    low, high = np.percentile(section, GREY_PERCENTILES)
    return np.asarray(np.clip((section - low) / max(float(high - low), 1e-6), 0.0, 1.0), np.float32)
