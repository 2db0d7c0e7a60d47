"""Reads the real series that show whether the gate holds outside the data it was trained on."""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from node.imaging.series import read_volume
from node.imaging.volume import Unit, Volume
from node.imaging.volume_files import read_volume_file

# File below the folder of data sets: what it shows, and whether that is an upright T1 brain.
SERIES = {
    "dicom_series/mr_t1_siemens_skyra_3y_192.tar.xz": ("T1 of a child of 3 years, whole head", True),
    "mr_dicom/mr_enhanced_t1_siemens_xa30_96frames.tar.xz": ("T1, whole head, Enhanced MR, strong shading", True),
    "brain_mr_ms_thick/patient20_study2_T1W.nii.gz": ("T1, slices of 3 mm", True),
    "brain_mr_ms_thick/patient20_study2_FLAIR.nii.gz": ("FLAIR, slices of 3 mm", False),
    "brain_mr_ms_thick/patient01_study2_T2W.nii.gz": ("T2, slices of 3.3 mm", False),
    "mr_dicom/mr_pd_axial_ge_signa_5mm_20.tar.xz": ("proton density, slices 7 mm apart", False),
    "ct_chest_lungdx/ct_A0001_philips_5mm_B.tar.xz": ("CT of a chest", False),
    "dicom_series/ct_chest_philips_lidc_138of275.tar.xz": ("CT of a chest", False),
}


@dataclass(frozen=True)
class RealSeries:
    """A series from a scanner, and whether the gate should accept it."""

    name: str
    what: str
    is_brain: bool
    volume: Volume


def read_real_series(folder: Path) -> list[RealSeries]:
    """Return those of the series that are in the folder of data sets."""
    return [
        RealSeries(Path(file).name.split(".")[0], what, is_brain, _read(folder / file))
        for file, (what, is_brain) in SERIES.items()
        if (folder / file).is_file()
    ]


def _read(file: Path) -> Volume:
    if file.suffix == ".gz":
        return read_volume_file(file, Unit.STORED)
    with tempfile.TemporaryDirectory() as unpacked, tarfile.open(file) as archive:
        archive.extractall(unpacked, filter="data")
        paths = sorted(path for path in Path(unpacked).rglob("*") if path.is_file())
        return read_volume(_with_one_frame_of_reference([pydicom.dcmread(path) for path in paths]))


def _with_one_frame_of_reference(instances: Sequence[Dataset]) -> Sequence[Dataset]:
    """Join the frames of reference that a de-identifier gave to every slice of a series."""
    for instance in instances:
        instance.FrameOfReferenceUID = instances[0].FrameOfReferenceUID
    return instances
