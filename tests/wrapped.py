"""Pictures and volumes wrapped as the instances a scanner or camera would send, each valid for its SOP class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid
from pydicom.valuerep import format_number_as_ds

from node.imaging.volume import Grid

UID_PREFIX = "1.2.826.0.1.3680043.8.498."
HIGHEST = 4095  # what values that are not whole numbers are spread over
INTERCEPT = -1024
SLICE_MM, PIXEL_MM = 5.0, 0.9

Voxels = NDArray[Any]
Facts = Mapping[str, Any]
Vector = tuple[float, float, float]


def axial_grid(shape: tuple[int, int, int], spacing_mm: Vector = (1.0, 1.0, 1.0)) -> Grid:
    """Return the grid of axial slices, the lowest first: columns run to the left, rows to the back."""
    up, back, left = spacing_mm
    return Grid(shape, (-100.0, -120.0, -60.0), ((0.0, 0.0, up), (0.0, back, 0.0), (left, 0.0, 0.0)))


def mr_series(voxels: Voxels, grid: Grid | None = None, **facts: Any) -> list[Dataset]:
    """Return a series of MR Image Storage whose instance k shows `voxels[k]`, (slices, rows, columns).

    Whole numbers in 0..65535 are stored as they are, others are spread over 0..4095. Facts are DICOM
    keywords, set last in every instance; one that is None is taken out. UIDs not given follow from the
    pixels and the facts. Of a left-handed grid a reader turns the order of the slices round.
    """
    return _series(_stored(voxels), grid, _MR, facts)


def ct_series(voxels_hu: Voxels, grid: Grid | None = None, **facts: Any) -> list[Dataset]:
    """Return a series of CT Image Storage, like `mr_series`; HU are rounded and, below -1024, raised to it."""
    return _series(np.clip(np.rint(voxels_hu) - INTERCEPT, 0, 65535).astype("<u2"), grid, _CT, facts)


def mr_slice(picture: Voxels, **facts: Any) -> Dataset:
    """Return one axial slice of MR Image Storage that shows the picture, (rows, columns)."""
    grid = axial_grid((1, *picture.shape), (SLICE_MM, PIXEL_MM, PIXEL_MM))
    return mr_series(picture[np.newaxis], grid, **facts)[0]


def opt(frames: Voxels, laterality: str = "R", **facts: Any) -> Dataset:
    """Return Ophthalmic Tomography (PS3.3 A.52.4) of one eye: (frames, rows, columns) uint8, or one picture.

    The side stands in ImageLaterality and in the anatomy that the frames share. Of the three numbers of a
    concatenation, which PS3.3 C.8.17.7 demands of every instance, dciodvfy says that they may not be there.
    """
    frames = frames if frames.ndim == 3 else frames[np.newaxis]
    dataset = _instance(frames.astype(np.uint8), _OPT | {"NumberOfFrames": len(frames)} | _eye(laterality), facts)
    _add_frame_groups(dataset, len(frames), laterality)
    return dataset


def op(picture: Voxels, laterality: str = "R", **facts: Any) -> Dataset:
    """Return Ophthalmic Photography 8 Bit (PS3.3 A.41) of (rows, columns) or RGB (rows, columns, 3) uint8."""
    return _instance(picture.astype(np.uint8), _OP | _colour(picture) | _eye(laterality), facts)


def secondary_capture(picture: Voxels, modality: str = "OT", **facts: Any) -> Dataset:
    """Return Secondary Capture of (rows, columns) or RGB (rows, columns, 3) uint8, filed under a modality."""
    return _instance(picture.astype(np.uint8), _SC | _colour(picture) | {"Modality": modality}, facts)


def _series(stored: Voxels, grid: Grid | None, header: Facts, facts: Facts) -> list[Dataset]:
    grid = grid or axial_grid(stored.shape)
    of_series = _uid("series", header["Modality"], stored, grid, facts)
    common = {**header, "SeriesInstanceUID": of_series, "FrameOfReferenceUID": _uid("frame", of_series)}
    return [
        _instance(picture, {**common, **_place(grid, number), "InstanceNumber": number + 1}, facts)
        for number, picture in enumerate(stored)
    ]


def _place(grid: Grid, number: int) -> dict[str, Any]:
    """Return where a slice of the grid lies (PS3.3 C.7.6.2)."""
    slice_mm, row_mm, column_mm = grid.spacing_mm
    _, down, across = np.array(grid.steps_mm)
    return {
        "ImagePositionPatient": _decimals(grid.position_mm((number, 0, 0))),
        "ImageOrientationPatient": _decimals([*(across / column_mm), *(down / row_mm)]),
        "PixelSpacing": _decimals([row_mm, column_mm]),
        "SliceThickness": _decimals([slice_mm])[0],
    }


def _decimals(numbers: Any) -> list[str]:
    return [format_number_as_ds(round(float(number), 9)) for number in numbers]


def _stored(voxels: Voxels) -> NDArray[np.uint16]:
    """Return the values as they are where 16 bits hold them, spread over 0..4095 otherwise."""
    if (voxels == np.rint(voxels)).all() and voxels.min() >= 0 and voxels.max() <= 65535:
        return voxels.astype("<u2")
    low, high = float(voxels.min()), float(voxels.max())
    return np.rint((voxels - low) * (HIGHEST / max(high - low, 1e-12))).astype("<u2")


def _instance(pixels: Voxels, header: Facts, facts: Facts) -> Dataset:
    """Return the instance of 8 or 16 bits that shows the pixels, with the facts stated last."""
    is_colour = header.get("SamplesPerPixel") == 3
    bits = pixels.itemsize * 8
    dataset = Dataset()
    _state(dataset, _PATIENT | dict(header))
    dataset.Rows, dataset.Columns = pixels.shape[-3:-1] if is_colour else pixels.shape[-2:]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.add_new("PixelData", "OW" if bits == 16 else "OB", _even(pixels.tobytes()))
    for level, words in (("Study", ("study", str(facts.get("PatientID")))), ("Series", ("series",))):
        if f"{level}InstanceUID" not in dataset:
            setattr(dataset, f"{level}InstanceUID", _uid(*words, dataset.Modality, facts))
    dataset.SOPInstanceUID = _uid("instance", dataset.SeriesInstanceUID, dataset.InstanceNumber, pixels, facts)
    _state(dataset, facts)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    return dataset


def _state(dataset: Dataset, facts: Facts) -> None:
    """Set each attribute; one that is None is taken out."""
    for keyword, fact in facts.items():
        if fact is not None:
            setattr(dataset, keyword, fact)
        elif keyword in dataset:
            delattr(dataset, keyword)


def _uid(*words: Any) -> str:
    """Return the UID that belongs to these words and pixels."""
    hashed = [
        hashlib.sha256(word.tobytes()).hexdigest() if isinstance(word, np.ndarray) else str(word) for word in words
    ]
    return generate_uid(UID_PREFIX, entropy_srcs=hashed)


def _even(pixels: bytes) -> bytes:
    return pixels + b"\0" * (len(pixels) % 2)


def _colour(picture: Voxels) -> dict[str, Any]:
    """Return how a picture of three channels is stored; nothing of a grey one."""
    if picture.ndim == 2:
        return {"PresentationLUTShape": "IDENTITY"}
    return {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0}


def _eye(laterality: str) -> dict[str, Any]:
    """Return which eye an image shows (PS3.3 C.8.17.5)."""
    return {"ImageLaterality": laterality, "AnatomicRegionSequence": [_item(codes.SCT.Eye)]}


def _item(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _add_frame_groups(dataset: Dataset, frames: int, laterality: str) -> None:
    """Add the functional groups of parallel B-scans, each below the one before, and the eye they share."""
    measures, orientation, anatomy, shared = Dataset(), Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.004, 0.012], 0.1
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    anatomy.FrameLaterality = laterality
    anatomy.AnatomicRegionSequence = [_item(codes.SCT.Retina)]
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [orientation]
    shared.FrameAnatomySequence = [anatomy]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = [_frame_group(number) for number in range(frames)]
    organization, index = Dataset(), Dataset()
    organization.DimensionOrganizationUID = index.DimensionOrganizationUID = _uid("dimension", dataset.SOPInstanceUID)
    index.DimensionIndexPointer, index.FunctionalGroupPointer = 0x00209057, 0x00209111
    dataset.DimensionOrganizationSequence, dataset.DimensionIndexSequence = [organization], [index]


def _frame_group(number: int) -> Dataset:
    content, position, group = Dataset(), Dataset(), Dataset()
    content.FrameAcquisitionNumber, content.StackID, content.InStackPositionNumber = 1, "1", number + 1
    content.DimensionIndexValues = [number + 1]
    content.FrameReferenceDateTime = content.FrameAcquisitionDateTime = "20260102101112"
    content.FrameAcquisitionDuration = 1
    position.ImagePositionPatient = _decimals([0, 0, number * 0.1])
    group.FrameContentSequence, group.PlanePositionSequence = [content], [position]
    return group


_PATIENT: dict[str, Any] = {
    "SpecificCharacterSet": "ISO_IR 192",
    "PatientName": "Wrapped^Made",
    "PatientID": "WRAPPED-1",
    "PatientBirthDate": "19600102",
    "PatientSex": "O",
    "StudyDate": "20260102",
    "StudyTime": "101112",
    "ContentDate": "20260102",
    "ContentTime": "101112",
    "StudyID": "1",
    "AccessionNumber": "W1",
    "ReferringPhysicianName": "Nobody^Real",
    "SeriesNumber": 2,
    "InstanceNumber": 1,
    "Manufacturer": "Made by a test",
    "ManufacturerModelName": "Wrapper",
    "DeviceSerialNumber": "1",
    "SoftwareVersions": "1",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelRepresentation": 0,
}
_SLICES: dict[str, Any] = {"PositionReferenceIndicator": "", "PatientPosition": "HFS"}
_MR: dict[str, Any] = {
    **_SLICES,
    "SOPClassUID": uid.MRImageStorage,
    "Modality": "MR",
    "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
    "BodyPartExamined": "HEAD",
    "ScanningSequence": "SE",
    "SequenceVariant": "NONE",
    "ScanOptions": "",
    "MRAcquisitionType": "2D",
    "RepetitionTime": 600,
    "EchoTime": 10,
    "EchoTrainLength": 1,
    "MagneticFieldStrength": 1.5,
}
_CT: dict[str, Any] = {
    **_SLICES,
    "SOPClassUID": uid.CTImageStorage,
    "Modality": "CT",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "BodyPartExamined": "CHEST",
    "RescaleSlope": 1,
    "RescaleIntercept": INTERCEPT,
    "RescaleType": "HU",
    "KVP": 120,
    "AcquisitionNumber": 1,
}
_EYES: dict[str, Any] = {
    "ImageType": ["ORIGINAL", "PRIMARY"],
    "AcquisitionDateTime": "20260102101112",
    "BurnedInAnnotation": "NO",
    "LossyImageCompression": "00",
    "RefractiveStateSequence": [],
    "EmmetropicMagnification": 1.0,
    "IntraOcularPressure": 15.0,
    "HorizontalFieldOfView": 30.0,
    "PupilDilated": "NO",
    "AcquisitionContextSequence": [],
    "DetectorType": "CCD",
    "LightPathFilterTypeStackCodeSequence": [],
}
_OPT: dict[str, Any] = {
    **_EYES,
    "SOPClassUID": uid.OphthalmicTomographyImageStorage,
    "Modality": "OPT",
    "AcquisitionNumber": 1,
    "FrameOfReferenceUID": f"{UID_PREFIX}7",
    "PositionReferenceIndicator": "",
    "PresentationLUTShape": "IDENTITY",
    "AcquisitionDeviceTypeCodeSequence": [_item(codes.cid4210.OpticalCoherenceTomographyScanner)],
    "AcquisitionDuration": 1.0,
    "ConcatenationFrameOffsetNumber": 0,
    "InConcatenationNumber": 1,
    "InConcatenationTotalNumber": 1,
    "AxialLengthOfTheEye": 24.0,
    "DepthSpatialResolution": 7,
    "MaximumDepthDistortion": 0.5,
    "AlongScanSpatialResolution": 15,
    "MaximumAlongScanDistortion": 0.5,
    "AcrossScanSpatialResolution": 15,
    "MaximumAcrossScanDistortion": 0.5,
    "IlluminationWaveLength": 840,
    "IlluminationPower": 700,
    "IlluminationBandwidth": 50,
}
_OP: dict[str, Any] = {
    **_EYES,
    "SOPClassUID": uid.OphthalmicPhotography8BitImageStorage,
    "Modality": "OP",
    "AcquisitionDeviceTypeCodeSequence": [_item(codes.cid4202.FundusCamera)],
    "PatientEyeMovementCommanded": "NO",
    "SynchronizationFrameOfReferenceUID": f"{UID_PREFIX}8",
    "SynchronizationTrigger": "NO TRIGGER",
    "AcquisitionTimeSynchronized": "N",
    "NumberOfFrames": 1,
    "FrameIncrementPointer": 0x00181063,
    "FrameTime": 1,
    "PatientOrientation": ["L", "F"],
    "PixelSpacing": [0.01, 0.01],
    "IlluminationTypeCodeSequence": [],
    "ImagePathFilterTypeStackCodeSequence": [],
    "LensesCodeSequence": [],
}
_SC: dict[str, Any] = {
    "SOPClassUID": uid.SecondaryCaptureImageStorage,
    "ConversionType": "WSD",
    "ImageType": ["DERIVED", "SECONDARY"],
    "PatientOrientation": "",
    "Laterality": "",
}
