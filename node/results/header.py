"""The attributes every result object shares: whose study it is, who made it, and when."""

from __future__ import annotations

from typing import Any

import highdicom as hd
from pydicom import uid
from pydicom.config import IGNORE, RAISE, disable_value_validation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.valuerep import VR, validate_value

from node.plain_values import read_text
from node.results.request import ResultKind, ResultRequest
from node.results.uids import result_uid
from node.vocabulary import NOT_FOR_DIAGNOSIS

MANUFACTURER = "radnode"
LONGEST_LO = 64
ELLIPSIS = "..."

# One series number per kind, as results of several models and inputs differ by their series UID; the
# maps and the refinements of a job, which have a series each, count on from theirs.
SERIES_NUMBERS = {
    ResultKind.SEGMENTATION: 100,
    ResultKind.PARAMETRIC_MAP: 110,
    ResultKind.MEASUREMENT_REPORT: 200,
    ResultKind.CONTOUR_REPORT: 201,
    ResultKind.TEXT_REPORT: 202,
    ResultKind.CONCLUSION_REPORT: 203,
    ResultKind.FRAME_REPORT: 204,
    ResultKind.DERIVED_SERIES: 300,
    ResultKind.KEY_IMAGE: 400,
}

# First in the description, because viewers cut it short.
SERIES_NAMES = {
    ResultKind.SEGMENTATION: "Segments",
    ResultKind.PARAMETRIC_MAP: "Map",
    ResultKind.MEASUREMENT_REPORT: "Measurements",
    ResultKind.CONTOUR_REPORT: "Contours",
    ResultKind.TEXT_REPORT: "Report",
    ResultKind.CONCLUSION_REPORT: "Conclusions",
    ResultKind.FRAME_REPORT: "Frames",
    ResultKind.DERIVED_SERIES: "Derived images",
    ResultKind.KEY_IMAGE: "Key image",
}

# Copied as they are, valid or not, and present even when empty (types 1 and 2).
IDENTITY_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
)

# Copied when present and valid (type 3): the identity of the study does not depend on them.
CONTEXT_KEYWORDS = (
    "IssuerOfPatientID",
    "PatientAge",
    "StudyDescription",
    "InstitutionName",
    "TimezoneOffsetFromUTC",
)

# Of these there is only one, so they have no side.
UNPAIRED_PARTS = frozenset({"ABDOMEN", "BRAIN", "CHEST", "HEAD", "HEART", "NECK", "PELVIS"})

EQUIPMENT_KEYWORDS = (
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
)

# PS3.3 C.7.6.1.1.5.1
LOSSY_METHODS = {
    uid.JPEGBaseline8Bit: "ISO_10918_1",
    uid.JPEGExtended12Bit: "ISO_10918_1",
    uid.JPEGLSNearLossless: "ISO_14495_1",
    uid.JPEG2000: "ISO_15444_1",
}

LOSSY_KEYWORDS = (
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)


def encoding_source(source: Dataset) -> Dataset:
    """Return what highdicom needs to know of the source, without a patient.

    highdicom demands attributes that real instances lack and refuses values that they have. Identity
    is therefore left empty here, and `state_origin` copies it into the finished object.
    """
    reference = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        setattr(reference, keyword, read_text(source, keyword))
    reference.Rows, reference.Columns = source.Rows, source.Columns
    reference.Modality = source.get("Modality") or "OT"
    for keyword in IDENTITY_KEYWORDS:
        if keyword not in reference:
            setattr(reference, keyword, None)
    copy_valid(source, reference, (*EQUIPMENT_KEYWORDS, *LOSSY_KEYWORDS))
    _state_lossy_transfer_syntax(source, reference)
    return reference


def creation_arguments(request: ResultRequest, kind: ResultKind, number: int = 0) -> dict[str, Any]:
    """Return highdicom's arguments about series, instance and equipment of a result object.

    `number`, counted from 0, tells the objects of a kind apart that a job makes several of.
    """
    return {
        "series_instance_uid": _uid(request, f"{kind}/series", number),
        "series_number": SERIES_NUMBERS[kind] + number,
        "sop_instance_uid": _uid(request, kind, number),
        "instance_number": 1,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MANUFACTURER,
        "software_versions": request.device.version,
        "device_serial_number": request.device.ae_title,
        "series_description": _series_description(request, kind),
        "content_qualification": hd.ContentQualificationValues.RESEARCH,
        "contributing_equipment": [_model_equipment(request)],
        "specific_character_set": "ISO_IR 192",
    }


def state_origin(result: Dataset, request: ResultRequest) -> None:
    """Copy the identity of the source and put the job's time where highdicom put the present."""
    with disable_value_validation():
        for keyword in IDENTITY_KEYWORDS:
            result.add(_copied(request.source, keyword))
    copy_valid(request.source, result, CONTEXT_KEYWORDS)
    moment = request.local_time
    for event in ("InstanceCreation", "Series", "Content"):
        setattr(result, f"{event}Date", f"{moment:%Y%m%d}")
        setattr(result, f"{event}Time", f"{moment:%H%M%S.%f}")
    for equipment in result.ContributingEquipmentSequence:
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = f"{moment:%Y%m%d%H%M%S.%f%z}"


def copy_valid(source: Dataset, target: Dataset, keywords: tuple[str, ...]) -> None:
    """Copy the attributes that the source states with a value its value representation allows."""
    for keyword in keywords:
        with disable_value_validation():
            element = _copied(source, keyword)
        if not element.is_empty and _is_valid(element):
            target.add(element)


def state_body_part(result: Dataset, source: Dataset) -> None:
    """Copy the body part, and its side where there may be two, empty if nobody said (PS3.3 C.7.3.1, type 2C)."""
    copy_valid(source, result, ("BodyPartExamined",))
    if result.get("BodyPartExamined") not in UNPAIRED_PARTS:
        result.Laterality = None
        copy_valid(source, result, ("Laterality",))


def fit(text: str, longest: int = LONGEST_LO) -> str:
    """Return the text, cut with an ellipsis if it is longer than the value representation allows.

    The limit is one of characters (PS3.5 6.2); it is kept in bytes, which is what some receivers count.
    """
    if len(text.encode()) <= longest:
        return text
    return text.encode()[: longest - len(ELLIPSIS)].decode(errors="ignore") + ELLIPSIS


def _state_lossy_transfer_syntax(source: Dataset, reference: Dataset) -> None:
    """Say by which method the source lost detail where only its transfer syntax tells."""
    meta = getattr(source, "file_meta", Dataset())
    method = LOSSY_METHODS.get(meta.get("TransferSyntaxUID"))
    if method:
        reference.LossyImageCompression = "01"
        if "LossyImageCompressionMethod" not in reference:
            reference.LossyImageCompressionMethod = method


def _uid(request: ResultRequest, kind: str, number: int) -> str:
    return result_uid(request.inputs_digest, request.model.sha256, kind, number)


def _series_description(request: ResultRequest, kind: ResultKind) -> str:
    warning = NOT_FOR_DIAGNOSIS.partition(", ")[2]
    return fit(f"{SERIES_NAMES[kind]}, {warning}: {request.model.title}")


def _model_equipment(request: ResultRequest) -> hd.ContributingEquipment:
    model = request.model
    return hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        manufacturer_model_name=fit(model.name),
        software_versions=[fit(model.version), model.sha256],
        contribution_datetime=request.local_time,
        contribution_description=fit(f"Model: {model.title}", 1024),
        purpose_of_reference=codes.DCM.ProcessingEquipment,
    )


def _copied(source: Dataset, keyword: str) -> DataElement:
    """Return the element with its decoded value, which a result then writes in a character set of its own."""
    vr = dictionary_VR(keyword)
    value = source.get(keyword)
    if vr == VR.PN and value is not None:
        value = str(value)
    return DataElement(keyword, vr, value, validation_mode=IGNORE)


def _is_valid(element: DataElement) -> bool:
    values = element.value if element.VM > 1 else [element.value]
    try:
        for value in values:
            validate_value(element.VR, str(value), RAISE)
    except ValueError:
        return False
    return True
