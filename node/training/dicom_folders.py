"""Finds the series of DICOM instances below a folder, as archives and PACS export them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.errors import InvalidDicomError

from node.imaging.series import read_volume
from node.imaging.volume import Volume

TAGS = ("SeriesInstanceUID", "Modality", "PatientID")


@dataclass(frozen=True)
class DicomSeries:
    """The files of one series, in the order of their names; `folder` is the one that holds the first."""

    series_instance_uid: str
    modality: str
    patient: str
    files: tuple[Path, ...]

    @property
    def folder(self) -> Path:
        """Return the folder of the series."""
        return self.files[0].parent


def find_series(folder: Path, modality: str = "") -> list[DicomSeries]:
    """Return the series below a folder in the order of their first file, of one modality where it is given.

    Files that are not DICOM are passed over.
    """
    found: dict[str, list[Path]] = {}
    about: dict[str, tuple[str, str]] = {}
    for path, header in _headers(folder):
        uid = str(header.SeriesInstanceUID)
        found.setdefault(uid, []).append(path)
        about.setdefault(uid, (str(header.get("Modality", "")), str(header.get("PatientID", ""))))
    series = [DicomSeries(uid, *about[uid], tuple(paths)) for uid, paths in found.items()]
    return [one for one in series if not modality or one.modality == modality]


def read_series(series: DicomSeries) -> Volume:
    """Return the volume as the node would read it; raises SeriesRefused as it would refuse it."""
    return read_volume([pydicom.dcmread(path) for path in series.files])


def _headers(folder: Path) -> Iterator[tuple[Path, pydicom.Dataset]]:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            header = pydicom.dcmread(path, specific_tags=list(TAGS), stop_before_pixels=True)
        except InvalidDicomError:
            continue
        if "SeriesInstanceUID" in header:
            yield path, header
