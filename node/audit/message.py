"""Audit messages as DICOM defines them (PS3.15 A.5.1), written as XML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_address
from xml.etree.ElementTree import Element, SubElement, tostring

_PATIENT_NUMBER = "2"  # PS3.15 A.5.1.2.4, of RFC 3881
_APPLICATION_SERVER = "4"


@dataclass(frozen=True)
class Code:
    """A coded value: DCM unless another scheme is named."""

    value: str
    meaning: str
    scheme: str = "DCM"


class Action(StrEnum):
    """What was done (EventActionCode)."""

    CREATE = "C"
    READ = "R"
    UPDATE = "U"
    DELETE = "D"
    EXECUTE = "E"


class Outcome(StrEnum):
    """How it went (EventOutcomeIndicator)."""

    SUCCESS = "0"
    MINOR_FAILURE = "4"


SOURCE = Code("110153", "Source Role ID")
DESTINATION = Code("110152", "Destination Role ID")
APPLICATION = Code("110150", "Application")
STUDY_UID = Code("110180", "Study Instance UID")


@dataclass(frozen=True)
class Participant:
    """An application or a person who took part; `address` is an IP address or a name."""

    user_id: str
    is_requestor: bool
    role: Code | None = None
    address: str = ""


@dataclass(frozen=True)
class StudyObject:
    """A study and its patient; `sop_classes` counts the instances of each class."""

    study_instance_uid: str
    patient_id: str
    patient_name: str
    accession_number: str = ""
    sop_classes: Sequence[tuple[str, int]] = ()


@dataclass(frozen=True)
class AuditMessage:
    """One event for the audit trail."""

    at: datetime
    event: Code
    action: Action
    outcome: Outcome
    participants: Sequence[Participant]
    kind: Code | None = None
    text: str = ""
    study: StudyObject | None = None


def write_message(message: AuditMessage, source: str) -> bytes:
    """Return the XML of a message that `source`, our AE title, reports; one line of UTF-8 without declaration."""
    root = Element("AuditMessage")
    _add_event(root, message)
    for participant in message.participants:
        _add_participant(root, participant)
    reporter = SubElement(root, "AuditSourceIdentification", {"AuditSourceID": source})
    SubElement(reporter, "AuditSourceTypeCode", {"csd-code": _APPLICATION_SERVER})
    if message.study is not None:
        _add_study(root, message.study)
        _add_patient(root, message.study)
    written: bytes = tostring(root, encoding="utf-8")
    return written


def _add_event(root: Element, message: AuditMessage) -> None:
    event = SubElement(
        root,
        "EventIdentification",
        {
            "EventActionCode": message.action,
            "EventDateTime": message.at.isoformat(timespec="milliseconds"),
            "EventOutcomeIndicator": message.outcome,
        },
    )
    _add_code(event, "EventID", message.event)
    if message.kind is not None:
        _add_code(event, "EventTypeCode", message.kind)
    if message.text:
        SubElement(event, "EventOutcomeDescription").text = _printable(message.text)


def _add_participant(root: Element, participant: Participant) -> None:
    attributes = {
        "UserID": _printable(participant.user_id),
        "UserIsRequestor": "true" if participant.is_requestor else "false",
    }
    if participant.address:
        kind = "2" if _is_ip_address(participant.address) else "1"
        attributes |= {"NetworkAccessPointID": participant.address, "NetworkAccessPointTypeCode": kind}
    element = SubElement(root, "ActiveParticipant", attributes)
    if participant.role is not None:
        _add_code(element, "RoleIDCode", participant.role)


def _add_study(root: Element, study: StudyObject) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": study.study_instance_uid,
            "ParticipantObjectTypeCode": "2",      # a system object
            "ParticipantObjectTypeCodeRole": "3",  # a report, which is what PS3.15 calls a study
        },
    )
    _add_code(element, "ParticipantObjectIDTypeCode", STUDY_UID)
    SubElement(element, "ParticipantObjectName")
    description = SubElement(element, "ParticipantObjectDescription")
    if study.accession_number:
        SubElement(description, "Accession", {"Number": _printable(study.accession_number)})
    for uid, count in study.sop_classes:
        SubElement(description, "SOPClass", {"UID": uid, "NumberOfInstances": str(count)})


def _add_patient(root: Element, study: StudyObject) -> None:
    element = SubElement(
        root,
        "ParticipantObjectIdentification",
        {
            "ParticipantObjectID": _printable(study.patient_id) or "none",
            "ParticipantObjectTypeCode": "1",
            "ParticipantObjectTypeCodeRole": "1",
        },
    )
    _add_code(element, "ParticipantObjectIDTypeCode", Code(_PATIENT_NUMBER, "Patient Number", "RFC-3881"))
    SubElement(element, "ParticipantObjectName").text = _printable(study.patient_name)


def _add_code(parent: Element, name: str, code: Code) -> None:
    SubElement(
        parent, name, {"csd-code": code.value, "codeSystemName": code.scheme, "originalText": code.meaning}
    )


def _is_ip_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _printable(text: str) -> str:
    """Return the text without what XML 1.0 cannot hold."""
    return "".join(character if character.isprintable() else "�" for character in text)
