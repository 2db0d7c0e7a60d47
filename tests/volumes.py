"""CT and MR series made for a test in one line, single-frame and enhanced, in any orientation."""

from __future__ import annotations

import subprocess
import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import generate_uid

CT = uid.CTImageStorage
MR = uid.MRImageStorage
ENHANCED = {CT: uid.EnhancedCTImageStorage, MR: uid.EnhancedMRImageStorage}

AIR_HU, TISSUE_HU, MARKER_HU = -1000, 40, 3000
INTERCEPT = -1024

Direction = tuple[float, float, float]

# Row direction (columns are counted along it) and column direction, as in ImageOrientationPatient.
ORIENTATIONS: dict[str, tuple[Direction, Direction]] = {
    "axial": ((1, 0, 0), (0, 1, 0)),
    "feet first": ((-1, 0, 0), (0, 1, 0)),
    "prone": ((-1, 0, 0), (0, -1, 0)),
    "sagittal": ((0, 1, 0), (0, 0, -1)),
    "coronal": ((1, 0, 0), (0, 0, -1)),
    "oblique": ((0.8, 0.6, 0), (-0.36, 0.48, 0.8)),
}


@dataclass(frozen=True)
class Making:
    """What a made series looks like; positions and lengths in mm, LPS.

    `spacing` is (between slices, between rows, between columns). `gap_at` leaves out that slice.
    `marker` is a place in the patient whose nearest voxel is bright. `shear` moves each slice that far
    along the columns.
    """

    slices: int = 20
    gap_at: int | None = None
    spacing: tuple[float, float, float] = (2.0, 1.5, 1.0)
    orientation: str | tuple[Direction, Direction] = "axial"
    marker: Direction | None = None
    shape: tuple[int, int] = (24, 30)
    centre: Direction = (7.0, -11.0, 130.0)
    shear: float = 0.0
    sop_class: str = CT

    @property
    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return the unit vectors along slices, rows (downwards) and columns."""
        named = ORIENTATIONS[self.orientation] if isinstance(self.orientation, str) else self.orientation
        row, column = (np.array(direction, np.float64) for direction in named)
        return np.cross(row, column), column, row

    def position(self, index: int) -> NDArray[np.float64]:
        """Return the place of the first pixel of a slice."""
        normal, down, across = self.directions
        slice_mm, row_mm, column_mm = self.spacing
        middle = np.array([self.slices - 1, self.shape[0] - 1, self.shape[1] - 1]) / 2
        first = np.array(self.centre) - normal * slice_mm * middle[0]
        first -= down * row_mm * middle[1] + across * column_mm * middle[2]
        return first + normal * slice_mm * index + down * self.shear * index


def ct_study(**facts: Any) -> list[Dataset]:
    """Return the instances of one CT series, in order of position, as HU stored with intercept -1024.

    Lower-case facts are fields of `Making`; `hu=` gives the values of every voxel. Facts that are DICOM
    keywords are set last, in every instance, or called with the index of the slice; one that is None is
    taken out.
    """
    return _series("CT", **facts)


def mr_study(**facts: Any) -> list[Dataset]:
    """Return the instances of one MR series, like `ct_study`, in stored values 1024 above its HU."""
    return _series("MR", sop_class=MR, **facts)


def enhanced(instances: Sequence[Dataset], *, shared: Sequence[str] = ("PixelMeasures",)) -> Dataset:
    """Return one enhanced instance whose frames are the given single-frame instances, in their order.

    The macros named in `shared` stand once for all frames, the others in each frame.
    """
    first = instances[0]
    whole = Dataset()
    whole.file_meta = _file_meta(ENHANCED[first.SOPClassUID])
    skipped = {keyword for macro in _MACROS.values() for keyword in macro}
    for element in first:
        if element.keyword not in skipped:
            whole.add(deepcopy(element))
    whole.SOPClassUID = ENHANCED[first.SOPClassUID]
    whole.SOPInstanceUID = generate_uid(entropy_srcs=["enhanced", first.SOPInstanceUID])
    whole.file_meta.MediaStorageSOPInstanceUID = whole.SOPInstanceUID
    whole.NumberOfFrames = len(instances)
    whole.PixelData = b"".join(instance.PixelData for instance in instances)
    whole.SharedFunctionalGroupsSequence = [_groups(first, shared)]
    others = [macro for macro in _MACROS if macro not in shared]
    whole.PerFrameFunctionalGroupsSequence = [_groups(instance, others) for instance in instances]
    return whole


def unpack(archive: Path, folder: Path) -> list[Path]:
    """Unpack a .tar.xz of a real series into the folder and return its files."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["tar", "-xJf", str(archive), "-C", str(folder)], check=True)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def read_all(files: Sequence[Path]) -> list[Dataset]:
    """Return the instances of collected files, whose headers are what they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [pydicom.dcmread(path) for path in files]


def with_one_frame_of_reference(instances: Sequence[Dataset]) -> list[Dataset]:
    """Return the instances with the first one's FrameOfReferenceUID, which a de-identifier took apart."""
    for instance in instances:
        instance.FrameOfReferenceUID = instances[0].FrameOfReferenceUID
    return list(instances)


_MACROS = {
    "PixelMeasures": ("PixelSpacing", "SliceThickness"),
    "PlanePosition": ("ImagePositionPatient",),
    "PlaneOrientation": ("ImageOrientationPatient",),
    "PixelValueTransformation": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameContent": ("TemporalPositionIndex", "StackID", "InStackPositionNumber"),
    "MREcho": ("EffectiveEchoTime",),
}


def _groups(instance: Dataset, macros: Sequence[str]) -> Dataset:
    group = Dataset()
    for macro in macros:
        item = Dataset()
        for keyword in _MACROS[macro]:
            if keyword in instance:
                item.add(instance[keyword])
        if len(item):
            setattr(group, f"{macro}Sequence", [item])
    return group


def _series(modality: str, hu: Any = None, **facts: Any) -> list[Dataset]:
    making = Making(**{name: fact for name, fact in facts.items() if name[0].islower()})
    keywords = {name: fact for name, fact in facts.items() if name[0].isupper()}
    values = _picture(making) if hu is None else np.broadcast_to(hu, (making.slices, *making.shape))
    return [
        _instance(modality, making, index, values[index], keywords)
        for index in range(making.slices)
        if index != making.gap_at
    ]


def _picture(making: Making) -> NDArray[np.int16]:
    """Return HU with a body off the middle, so that no two flips look alike, and the marker."""
    places = np.indices((making.slices, *making.shape))
    sizes = np.array([making.slices, *making.shape]).reshape(3, 1, 1, 1)
    distance = (((places + 0.5) / sizes - np.array([0.55, 0.45, 0.6]).reshape(3, 1, 1, 1)) ** 2).sum(axis=0)
    values = np.where(distance < 0.12, TISSUE_HU, AIR_HU).astype(np.int16)
    values += np.random.default_rng(1).integers(0, 20, values.shape, np.int16)
    if making.marker is not None:
        offset = np.array(making.marker) - making.position(0)
        index = [
            round(float(offset @ direction / step))
            for direction, step in zip(making.directions, making.spacing, strict=True)
        ]
        values[tuple(index)] = MARKER_HU
    return values


def _instance(
    modality: str, making: Making, index: int, values: NDArray[np.int16], keywords: dict[str, Any]
) -> Dataset:
    dataset = Dataset()
    stated = {name: fact(index) if callable(fact) else fact for name, fact in keywords.items()}
    _add_patient(dataset, modality)
    _add_image(dataset, modality, making)
    _add_place(dataset, making, index)
    dataset.PixelData = (values.astype(np.int32) - INTERCEPT).astype("<u2").tobytes()
    dataset.SOPInstanceUID = generate_uid(
        entropy_srcs=[modality, str(making), str(index), str(sorted(stated.items())), str(values.sum())]
    )
    for keyword, fact in stated.items():
        if fact is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, fact)
    dataset.file_meta = _file_meta(dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return dataset


def _file_meta(sop_class: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return meta


def _add_patient(dataset: Dataset, modality: str) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Volume^Made"
    dataset.PatientID = "VOLUME-1"
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study", modality])
    dataset.StudyDate, dataset.StudyTime = "20260102", "101112"
    dataset.StudyID, dataset.AccessionNumber = "1", "V1"
    dataset.ReferringPhysicianName = "Nobody^Real"
    dataset.Modality = modality
    dataset.Manufacturer = "Made by a test"
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series", modality])
    dataset.SeriesNumber, dataset.SeriesDescription = 2, "Made series"
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame", modality])
    dataset.PositionReferenceIndicator = ""
    dataset.PatientPosition, dataset.BodyPartExamined = "HFS", "CHEST" if modality == "CT" else "HEAD"


def _add_image(dataset: Dataset, modality: str, making: Making) -> None:
    dataset.SOPClassUID = making.sop_class
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL" if modality == "CT" else "M"]
    dataset.Rows, dataset.Columns = making.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    if modality == "CT":
        dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = 1, INTERCEPT, "HU"
        dataset.KVP, dataset.AcquisitionNumber = 120, 1
    else:
        dataset.EchoTime, dataset.RepetitionTime, dataset.MagneticFieldStrength = 3, 600, 3
        dataset.ScanningSequence, dataset.SequenceVariant, dataset.ScanOptions = "SE", "NONE", ""
        dataset.MRAcquisitionType, dataset.EchoTrainLength = "2D", 1


def _add_place(dataset: Dataset, making: Making, index: int) -> None:
    _, down, across = making.directions
    dataset.InstanceNumber = index + 1
    dataset.ImagePositionPatient = [round(float(number), 6) for number in making.position(index)]
    dataset.ImageOrientationPatient = [float(number) for number in (*across, *down)]
    dataset.PixelSpacing = list(making.spacing[1:])
    dataset.SliceThickness = making.spacing[0]
