"""Makes the one object the doctor may store in a peer: a report of nobody, the same at each visit."""

from __future__ import annotations

import uuid
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import UID, EnhancedSRStorage, ExplicitVRLittleEndian

from node.vocabulary import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, NOT_FOR_DIAGNOSIS

PATIENT_NAME = "RADNODE^DOCTOR"
PATIENT_ID = "RADNODE-DOCTOR"
_TEXT = f"Made by `radnode doctor` to try the connection; there is no such patient. {NOT_FOR_DIAGNOSIS}."
_WRITTEN_ON = "20260101"  # fixed, so that each visit sends the same bytes and the peer keeps one object


def write_made_up_report(path: Path, ae_title: str) -> Path:
    """Write an Enhanced SR about a patient who does not exist and return its path.

    The AE title of the node decides its UIDs, so a peer that has it already has it once.
    """
    report = _report(ae_title)
    report.file_meta = FileMetaDataset()
    report.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    report.file_meta.MediaStorageSOPClassUID = report.SOPClassUID
    report.file_meta.MediaStorageSOPInstanceUID = report.SOPInstanceUID
    report.file_meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    report.file_meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    report.save_as(path, enforce_file_format=True)
    return path


def _report(ae_title: str) -> Dataset:
    report = Dataset()
    report.SpecificCharacterSet = "ISO_IR 192"
    report.SOPClassUID = EnhancedSRStorage
    report.SOPInstanceUID = _uid(ae_title, "instance")
    _describe_nobody(report)
    report.StudyInstanceUID = _uid(ae_title, "study")
    report.SeriesInstanceUID = _uid(ae_title, "series")
    report.StudyDate = report.ContentDate = _WRITTEN_ON
    report.StudyTime = report.ContentTime = "000000"
    report.StudyID = "1"
    report.AccessionNumber = report.ReferringPhysicianName = ""
    report.StudyDescription = report.SeriesDescription = "radnode doctor"
    report.Modality = "SR"
    report.Manufacturer = "radnode"
    report.SeriesNumber = report.InstanceNumber = 1
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag = "COMPLETE"
    report.VerificationFlag = "UNVERIFIED"
    _write_text(report)
    return report


def _describe_nobody(report: Dataset) -> None:
    report.PatientName = PATIENT_NAME
    report.PatientID = PATIENT_ID
    report.PatientBirthDate = report.PatientSex = ""


def _write_text(report: Dataset) -> None:
    report.ValueType = "CONTAINER"
    report.ContinuityOfContent = "SEPARATE"
    report.ConceptNameCodeSequence = [_coded(codes.DCM.QualityAssessment)]
    item = Dataset()
    item.RelationshipType = "CONTAINS"
    item.ValueType = "TEXT"
    item.ConceptNameCodeSequence = [_coded(codes.DCM.Finding)]
    item.TextValue = _TEXT
    report.ContentSequence = [item]


def _coded(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _uid(ae_title: str, part: str) -> str:
    """Return a UUID-derived UID (PS3.5 B.2) that only the AE title and the part decide."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, f'radnode doctor {ae_title} {part}').int}"
