"""A grey-scale picture made into the chest radiograph a modality would send to the node."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

Picture = NDArray[np.unsignedinteger[Any]]

# Names every UID derived here; another value would make other studies of the same pictures.
UID_NAMESPACE = uuid.UUID("b7f0c1de-52a4-5c0e-9d3b-8f6a2f7f4a11")

MODALITIES = {
    uid.DigitalXRayImageStorageForPresentation: "DX",
    uid.ComputedRadiographyImageStorage: "CR",
    uid.SecondaryCaptureImageStorage: "DX",
}

VIEWS = {
    "PA": codes.SCT.PosteroAnterior,
    "AP": codes.SCT.AnteroPosterior,
}


@dataclass(frozen=True)
class ChestHeader:
    """What the header of a wrapped picture says; every person in it is made up.

    `spacing` is ImagerPixelSpacing, (between rows, between columns) in mm. `orientation` is
    PatientOrientation: where rows and where columns run to. Either may be None: not stated.
    A UID left empty is derived from the other values and the pixels.
    """

    patient_name: str = "Phantom^One"
    patient_id: str = "PHANTOM-001"
    accession_number: str = "DEMO-1"
    study_uid: str = ""
    series_uid: str = ""
    instance_uid: str = ""
    sop_class: str = uid.DigitalXRayImageStorageForPresentation
    photometric: str = "MONOCHROME2"
    bits: int = 8
    view: str = "PA"
    orientation: tuple[str, str] | None = ("L", "F")
    spacing: tuple[float, float] | None = (0.7, 0.7)
    series_number: int = 1
    instance_number: int = 1
    acquired: datetime = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def derive_uid(*words: str) -> str:
    """Return the one UID that belongs to these words (PS3.5 B.2, UUID form)."""
    return f"2.25.{uuid.uuid5(UID_NAMESPACE, '|'.join(words)).int}"


def wrap_chest(picture: Picture, header: ChestHeader) -> Dataset:
    """Return an instance that shows `picture`, (rows, columns), 0 black, in `header.bits` bits.

    Whatever the photometric interpretation, the displayed picture is the same.
    """
    dataset = Dataset()
    _add_patient_and_study(dataset, header)
    _add_series_and_equipment(dataset, header)
    _add_pixels(dataset, picture, header)
    _add_acquisition(dataset, header)
    _add_identity(dataset, header)
    return dataset


def write_instance(dataset: Dataset, folder: Path) -> Path:
    """Write the instance as a Part 10 file named by its SOP Instance UID, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{dataset.SOPInstanceUID}.dcm"
    dataset.save_as(path, enforce_file_format=True)
    return path


def _add_patient_and_study(dataset: Dataset, header: ChestHeader) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = header.patient_name
    dataset.PatientID = header.patient_id
    dataset.PatientBirthDate = "19700101"
    dataset.PatientSex = "O"
    dataset.PatientAge = "054Y"
    dataset.StudyInstanceUID = header.study_uid or derive_uid(
        "study", header.patient_id, header.accession_number
    )
    dataset.StudyDate = f"{header.acquired:%Y%m%d}"
    dataset.StudyTime = f"{header.acquired:%H%M%S}"
    dataset.StudyID = "1"
    dataset.StudyDescription = f"Chest {header.view}".strip()
    dataset.AccessionNumber = header.accession_number
    dataset.ReferringPhysicianName = "Nobody^Real"


def _add_series_and_equipment(dataset: Dataset, header: ChestHeader) -> None:
    dataset.Modality = MODALITIES[uid.UID(header.sop_class)]
    dataset.SeriesInstanceUID = header.series_uid or derive_uid(
        "series", dataset.StudyInstanceUID, str(header.series_number), header.sop_class
    )
    dataset.SeriesNumber = header.series_number
    dataset.InstanceNumber = header.instance_number
    dataset.SeriesDescription = f"Chest {header.view}".strip()
    dataset.Manufacturer = "radnode"
    dataset.ManufacturerModelName = "phantom"
    dataset.InstitutionName = "Hospital of Nowhere"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = header.view
    if header.sop_class == uid.SecondaryCaptureImageStorage:
        dataset.ConversionType = "WSD"


def _add_pixels(dataset: Dataset, picture: Picture, header: ChestHeader) -> None:
    highest = 2**header.bits - 1
    if int(picture.max()) > highest:
        raise ValueError(
            f"picture: brightest value {picture.max()}, expected at most {highest} in {header.bits} bits"
        )
    inverse = header.photometric == "MONOCHROME1"
    stored = (highest - picture.astype(np.int64)) if inverse else picture
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = header.photometric
    dataset.Rows, dataset.Columns = picture.shape
    dataset.BitsAllocated = 8 if header.bits <= 8 else 16
    dataset.BitsStored = header.bits
    dataset.HighBit = header.bits - 1
    dataset.PixelRepresentation = 0
    dataset.WindowCenter = 2 ** (header.bits - 1)
    dataset.WindowWidth = 2**header.bits
    dataset.RescaleIntercept = 0
    dataset.RescaleSlope = 1
    dataset.RescaleType = "US"
    dataset.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"
    encoded = stored.astype("u1" if header.bits <= 8 else "<u2").tobytes()
    dataset.PixelData = encoded + b"\0" * (len(encoded) % 2)
    dataset["PixelData"].VR = "OB" if header.bits <= 8 else "OW"


def _add_acquisition(dataset: Dataset, header: ChestHeader) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.ContentDate = dataset.AcquisitionDate = f"{header.acquired:%Y%m%d}"
    dataset.ContentTime = dataset.AcquisitionTime = f"{header.acquired:%H%M%S}"
    dataset.PatientOrientation = list(header.orientation) if header.orientation else None
    if header.spacing:
        dataset.ImagerPixelSpacing = list(header.spacing)
    if header.sop_class == uid.DigitalXRayImageStorageForPresentation:
        _add_digital_detector(dataset)


def _add_digital_detector(dataset: Dataset) -> None:
    """Add what only the DX modules ask for (PS3.3 A.26)."""
    dataset.AnatomicRegionSequence = [_code_item(codes.SCT.Chest)]
    if dataset.ViewPosition in VIEWS:
        view = _code_item(VIEWS[dataset.ViewPosition])
        view.ViewModifierCodeSequence = []
        dataset.ViewCodeSequence = [view]
    dataset.PositionerType = "NONE"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1 if dataset.PhotometricInterpretation == "MONOCHROME1" else 1
    dataset.DetectorType = "DIRECT"
    dataset.AcquisitionContextSequence = []


def _code_item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def _add_identity(dataset: Dataset, header: ChestHeader) -> None:
    digest = hashlib.sha256(dataset.PixelData).hexdigest()
    dataset.SOPClassUID = header.sop_class
    dataset.SOPInstanceUID = header.instance_uid or derive_uid(
        "instance", dataset.SeriesInstanceUID, repr(header), digest
    )
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta = meta
