"""What happens in the database reaches every sink of the audit trail, once its sink takes it."""

from __future__ import annotations

import socket
import ssl
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from rows import LUNG_RULE, Gathering, gathering, received
from waiting import PATIENCE_SECONDS

from node.audit.sinks import DailyFile, Entry, Syslog, SyslogServer
from node.audit.trail import AuditTrail
from node.database import EventName, Study, record_event
from node.errors import AuditUndelivered
from node.studies.intervention import hold_study_by_hand


class Notebook:
    """A sink that keeps what it is given, unless it is away."""

    name = "notebook"

    def __init__(self) -> None:
        self.messages: list[ET.Element] = []
        self.is_away = False

    def write(self, entries: Sequence[Entry]) -> None:
        if self.is_away:
            raise AuditUndelivered("away")
        self.messages += [ET.fromstring(entry.xml) for entry in entries]

    def told(self) -> list[tuple[str, str]]:
        """Return what happened and the identifiers of the objects it happened to."""
        return [
            (
                message.find("EventIdentification/EventID").attrib["originalText"],
                " ".join(o.attrib["ParticipantObjectID"] for o in message.iter("ParticipantObjectIdentification")),
            )
            for message in self.messages
        ]


@pytest.fixture
def side(tmp_path: Path) -> Gathering:
    return gathering(tmp_path, (LUNG_RULE,))


def trail_of(side: Gathering, *sinks: object) -> AuditTrail:
    return AuditTrail(side.database, side.settings, sinks)


def test_an_association_is_told_once_for_each_study_with_what_it_brought(side: Gathering) -> None:
    notebook = Notebook()
    trail = trail_of(side, notebook)
    other = received(3, StudyInstanceUID="1.2.9", SeriesInstanceUID="1.2.9.1", PatientID="P2")
    side.bring(received(1), received(2), other)
    assert trail.write_new() == 2
    assert sorted(notebook.told()) == [
        ("DICOM Instances Transferred", "1.2.3 P1"),
        ("DICOM Instances Transferred", "1.2.9 P2"),
    ]
    counts = {c.attrib["NumberOfInstances"] for m in notebook.messages for c in m.iter("SOPClass")}
    assert counts == {"1", "2"}
    assert trail.write_new() == 0


def test_a_caller_that_was_sent_away_is_a_security_alert(side: Gathering) -> None:
    notebook = Notebook()
    side.index.record_rejection("STRANGER", "10.9.9.9", "RADNODE", "rejected: calling AE title not known")
    trail_of(side, notebook).write_new()
    (message,) = notebook.messages
    assert message.find("EventIdentification/EventTypeCode").attrib["originalText"] == "Node Authentication"
    assert message.find("ActiveParticipant").attrib["UserID"] == "STRANGER"
    assert message.find("EventIdentification").attrib["EventOutcomeIndicator"] == "4"


def test_a_person_who_holds_a_study_is_named(side: Gathering) -> None:
    notebook = Notebook()
    side.bring(received(1))
    trail = trail_of(side, notebook)
    trail.write_new()
    hold_study_by_hand(side.database, side.clock, "1.2.3")
    trail.write_new()
    message = notebook.messages[-1]
    assert message.find("EventIdentification/EventOutcomeDescription").text == "study held"
    person, node = message.findall("ActiveParticipant")
    assert person.attrib["UserID"]
    assert (person.attrib["UserIsRequestor"], node.attrib["UserIsRequestor"]) == ("true", "false")


def test_a_sink_that_was_away_gets_everything_and_delays_no_other(side: Gathering) -> None:
    here, away = Notebook(), Notebook()
    away.name, away.is_away = "away", True
    trail = trail_of(side, away, here)
    side.bring(received(1))
    assert trail.write_new() == 1
    assert len(here.messages) == 1
    away.is_away = False
    later = trail_of(side, away, here)  # as after a restart
    assert later.write_new() == 1
    assert (len(away.messages), len(here.messages)) == (1, 1)


def test_the_file_is_for_our_user_alone_and_has_one_message_per_line(side: Gathering, tmp_path: Path) -> None:
    side.bring(received(1))
    side.bring(received(2))
    trail_of(side, DailyFile(tmp_path / "audit")).write_new()
    (file,) = (tmp_path / "audit").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.name == f"{side.clock.now().date()}.xml"
    assert [ET.fromstring(line).tag for line in file.read_bytes().splitlines()] == ["AuditMessage"] * 2


class Repository:
    """An audit record repository on loopback that speaks TLS and counts octets (RFC 5425)."""

    def __init__(self, folder: Path) -> None:
        self.certificate, key = folder / "server.pem", folder / "server.key"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
             "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(self.certificate)],
            check=True, capture_output=True,
        )  # fmt: skip
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.received = b""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        try:
            with self._context.wrap_socket(connection, server_side=True) as secured:
                while block := secured.recv(65536):
                    self.received += block
                secured.unwrap()
        except ssl.SSLError:
            connection.close()

    def offer(self, suite: str) -> None:
        """Speak TLS 1.2 with this suite alone from now on."""
        self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._context.set_ciphers(suite)

    def records(self) -> list[bytes]:
        """Return the records in the stream."""
        self._thread.join(PATIENCE_SECONDS)
        records, rest = [], self.received
        while rest:
            length, _, rest = rest.partition(b" ")
            records.append(rest[: int(length)])
            rest = rest[int(length) :]
        return records

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    there = Repository(tmp_path)
    yield there
    there.close()


def test_a_repository_gets_each_message_as_a_record_over_tls(side: Gathering, repository: Repository) -> None:
    side.bring(received(1))
    side.bring(received(2))
    sink = Syslog(SyslogServer("localhost", repository.port, authorities=str(repository.certificate)), "node.example")
    assert trail_of(side, sink).write_new() == 2
    records = repository.records()
    assert len(records) == 2
    head, _, body = records[0].partition(b"\xef\xbb\xbf")
    assert head.startswith(b"<85>1 20")
    assert b" node.example radnode " in head
    assert head.endswith(b" DICOM+RFC3881 - ")
    assert ET.fromstring(body).tag == "AuditMessage"


def test_a_repository_nobody_vouches_for_gets_nothing_and_the_messages_wait(
    side: Gathering, repository: Repository
) -> None:
    side.bring(received(1))
    stranger = Syslog(SyslogServer("localhost", repository.port), "node.example")
    assert trail_of(side, stranger).write_new() == 0
    assert repository.records() == []


@pytest.mark.parametrize(("suite", "taken"), [("ECDHE-RSA-AES256-GCM-SHA384", 1), ("ECDHE-RSA-AES256-SHA384", 0)])
def test_a_repository_gets_messages_under_a_suite_of_bcp_195_only(
    side: Gathering, repository: Repository, suite: str, taken: int
) -> None:
    repository.offer(suite)
    side.bring(received(1))
    sink = Syslog(SyslogServer("localhost", repository.port, authorities=str(repository.certificate)), "node.example")
    assert trail_of(side, sink).write_new() == taken
    assert len(repository.records()) == taken


def test_the_node_itself_is_an_application_that_starts_and_stops(side: Gathering) -> None:
    notebook = Notebook()
    with side.database.writing() as session:
        record_event(session, side.clock.now(), EventName.NODE_STARTED, None)
    trail_of(side, notebook).write_new()
    (message,) = notebook.messages
    assert message.find("EventIdentification/EventTypeCode").attrib["originalText"] == "Application Start"


def test_no_message_is_lost_when_there_are_more_events_than_one_look_takes(side: Gathering) -> None:
    notebook = Notebook()
    for number in range(1, 260):
        side.bring(received(number))
    assert trail_of(side, notebook).write_new() == 259
    with side.database.reading() as session:
        assert session.get(Study, 1) is not None
