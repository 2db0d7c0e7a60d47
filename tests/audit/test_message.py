"""Audit messages follow the schema of PS3.15 A.5.1."""

from __future__ import annotations

from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from node.audit.message import (
    DESTINATION,
    SOURCE,
    Action,
    AuditMessage,
    Code,
    Outcome,
    Participant,
    StudyObject,
    write_message,
)

MESSAGE = AuditMessage(
    at=datetime(2026, 11, 20, 9, 41, 22, 780000, tzinfo=UTC),
    event=Code("110104", "DICOM Instances Transferred"),
    action=Action.CREATE,
    outcome=Outcome.SUCCESS,
    participants=(Participant("XRAY", True, SOURCE, "10.0.0.7"), Participant("RADNODE", False, DESTINATION)),
    study=StudyObject("1.2.3", "P<1>", "Müller^Jörg", "A1", (("1.2.840.10008.5.1.4.1.1.2", 300),)),
)


def test_a_message_has_the_parts_in_the_order_of_the_schema() -> None:
    root = ET.fromstring(write_message(MESSAGE, "RADNODE"))
    assert root.tag == "AuditMessage"
    assert [child.tag for child in root] == [
        "EventIdentification", "ActiveParticipant", "ActiveParticipant", "AuditSourceIdentification",
        "ParticipantObjectIdentification", "ParticipantObjectIdentification",
    ]  # fmt: skip
    event = root[0]
    assert event.attrib == {
        "EventActionCode": "C",
        "EventDateTime": "2026-11-20T09:41:22.780+00:00",
        "EventOutcomeIndicator": "0",
    }
    assert event[0].attrib == {
        "csd-code": "110104", "codeSystemName": "DCM", "originalText": "DICOM Instances Transferred",
    }  # fmt: skip


def test_study_and_patient_are_named_by_their_own_codes() -> None:
    study, patient = ET.fromstring(write_message(MESSAGE, "RADNODE"))[4:]
    assert study.attrib["ParticipantObjectID"] == "1.2.3"
    assert [child.tag for child in study] == [
        "ParticipantObjectIDTypeCode", "ParticipantObjectName", "ParticipantObjectDescription",
    ]  # fmt: skip
    assert study[0].attrib["csd-code"] == "110180"
    assert study[2][0].attrib == {"Number": "A1"}
    assert study[2][1].attrib == {"UID": "1.2.840.10008.5.1.4.1.1.2", "NumberOfInstances": "300"}
    assert patient.attrib["ParticipantObjectID"] == "P<1>"
    assert patient[1].text == "Müller^Jörg"
    assert (patient[0].attrib["csd-code"], patient[0].attrib["codeSystemName"]) == ("2", "RFC-3881")


def test_an_address_says_whether_it_is_a_number_or_a_name() -> None:
    def kind(address: str) -> str:
        message = AuditMessage(
            MESSAGE.at, MESSAGE.event, Action.CREATE, Outcome.SUCCESS, (Participant("A", True, address=address),)
        )
        return ET.fromstring(write_message(message, "RADNODE"))[1].attrib["NetworkAccessPointTypeCode"]

    assert [kind(address) for address in ("10.0.0.7", "fe80::1", "pacs.example")] == ["2", "2", "1"]


def test_what_xml_cannot_hold_breaks_no_message_and_no_line() -> None:
    spoiled = AuditMessage(
        MESSAGE.at, MESSAGE.event, Action.CREATE, Outcome.MINOR_FAILURE, (Participant("X\x00\nY", True),),
        text="a\x07b\nc", study=StudyObject("1.2", "P\n1", "A\x1bB"),
    )  # fmt: skip
    written = write_message(spoiled, "RADNODE")
    assert b"\n" not in written
    assert ET.fromstring(written)[1].attrib["UserID"] == "X��Y"
