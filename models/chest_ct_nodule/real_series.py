"""Reads the real CT series in which somebody marked a nodule or a tumour, and where it lies."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from node.errors import TrainingDataError
from node.imaging.series import read_volume
from node.imaging.volume import Volume
from node.vocabulary import Mask

# Nothing is learned this far around a lesion.
MARGIN_MM = 10.0


@dataclass(frozen=True)
class Lesion:
    """A box around a nodule or tumour: the first and the last (slice, row, column) in it."""

    name: str
    first: tuple[int, int, int]
    last: tuple[int, int, int]


@dataclass(frozen=True)
class RealSeries:
    """A series, whose it is, and the lesion that was marked in it."""

    patient: str
    volume: Volume
    lesion: Lesion

    @property
    def lesions(self) -> Mask:
        """Return the box of the lesion and a margin as a mask on the voxels of the series."""
        mask = np.zeros(self.volume.grid.shape, np.bool_)
        margin = [int(np.ceil(MARGIN_MM / spacing)) for spacing in self.volume.grid.spacing_mm]
        mask[
            tuple(
                slice(max(0, first - by), last + by + 1)
                for first, last, by in zip(self.lesion.first, self.lesion.last, margin, strict=True)
            )
        ] = True
        return mask


def read_real_series(data: Path) -> list[RealSeries]:
    """Return the marked series below a folder: those of `boxes.csv` and of `nodule.csv`; none where there is neither.

    `boxes.csv` (Lung-PET-CT-Dx) has one row per slice with sop_instance_uid, xmin, ymin, xmax, ymax and
    patient; `nodule.csv` (LIDC-IDRI) one row per nodule with series_instance_uid, instance_number, x, y and
    equivalent_diameter_mm. Series are folders or archives `*.tar.xz` of DICOM files. Raises
    TrainingDataError where a table's series is missing.
    """
    series = [_boxed(table, data) for table in sorted(data.rglob("boxes.csv"))]
    return series + [_pointed(table, data) for table in sorted(data.rglob("nodule.csv"))]


def _boxed(table: Path, data: Path) -> RealSeries:
    rows = _rows(table)
    instances = _find(rows[0]["series"], data, table)
    volume = read_volume(instances)
    numbers = {source.sop_instance_uid: number for number, source in enumerate(volume.sources)}
    slices = [numbers[row["sop_instance_uid"]] for row in rows]
    lows = [min(int(row[name]) for row in rows) for name in ("ymin", "xmin")]
    highs = [max(int(row[name]) for row in rows) for name in ("ymax", "xmax")]
    lesion = Lesion("tumour", (min(slices), lows[0], lows[1]), (max(slices), highs[0], highs[1]))
    return RealSeries(rows[0]["patient"], volume, lesion)


def _pointed(table: Path, data: Path) -> RealSeries:
    (row,) = _rows(table)
    instances = _with_one_frame_of_reference(_find(row["series_instance_uid"], data, table))
    volume = read_volume(instances)
    x, y = float(row["x"]), float(row["y"])
    above = volume.grid.position_mm((0.0, y, x))
    above[2] = float(row["z_mm"])
    centre = volume.grid.index_of(above)
    half = float(row["equivalent_diameter_mm"]) / 2 / np.array(volume.grid.spacing_mm)
    first, last = np.floor(centre - half).astype(int), np.ceil(centre + half).astype(int)
    lesion = Lesion("nodule", (int(first[0]), int(first[1]), int(first[2])), (int(last[0]), int(last[1]), int(last[2])))
    return RealSeries(str(instances[0].PatientID), volume, lesion)


def _with_one_frame_of_reference(instances: Sequence[Dataset]) -> Sequence[Dataset]:
    """Return the instances in one frame of reference, which a de-identifier took apart in this collection.

    The node refuses such a series: only who knows how it was made may say that its positions compare.
    """
    for instance in instances:
        instance.FrameOfReferenceUID = instances[0].FrameOfReferenceUID
    return instances


def _find(series: str, data: Path, table: Path) -> list[Dataset]:
    """Return the instances of a series, given by the name of its archive or folder or by its UID."""
    places = sorted([*data.rglob("*.tar.xz"), *{path.parent for path in data.rglob("*.dcm")}])
    named = (place for place in places if place.name.removesuffix(".tar.xz") == series)
    holding = (place for place in places if _series_in(place) == series)
    for place in chain(named, holding):
        return list(_instances(place))
    raise TrainingDataError(
        f"{table}: no folder or archive below {data} holds the series {series}; restore it, or remove the table"
    )


def _series_in(place: Path) -> str:
    """Return the UID of the series that the first file of a folder or an archive belongs to, or "" if it says none."""
    try:
        first = next(iter(_instances(place)), Dataset())
    except InvalidDicomError:
        return ""
    return str(first.get("SeriesInstanceUID", ""))


def _instances(place: Path) -> Iterator[Dataset]:
    """Yield the DICOM files of a folder or an archive, in the order of their names."""
    if place.is_dir():
        yield from (pydicom.dcmread(path) for path in sorted(place.glob("*.dcm")))
        return
    with tarfile.open(place) as archive:
        for member in archive:
            if member.isfile() and member.name.endswith(".dcm"):
                opened = archive.extractfile(member)
                if opened is not None:
                    yield pydicom.dcmread(BytesIO(opened.read()))


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    if not rows:
        raise TrainingDataError(f"{table}: holds no row; restore it, or remove it")
    return rows
