"""The SCP over loopback: associations come, misbehave, end and are drained."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path

import pytest
from dcmtk import is_listening, needs_dcmtk, run
from pydicom import dcmread
from raw_peer import PROPOSAL, RawPeer
from receiving import Node, ask, associated, request_of, running, send, start_of_store
from waiting import PATIENCE_SECONDS, until

from node.archive.part import HELD_BYTES
from node.association import CommitmentService, Listener, ListenerSettings
from node.association.contexts import supported_contexts
from node.clock import SystemClock
from node.commitment.pledges import Pledges
from node.commitment.requests import RequestBook
from node.delivery.scu import echo
from node.errors import SettingsError
from node.settings import Settings
from node.studies.index import InstanceIndex


@needs_dcmtk
def test_dcmtk_echoes(node: Node) -> None:
    assert run("echoscu", "-aec", "RADNODE", "127.0.0.1", node.listener.port).returncode == 0


def test_the_node_answers_its_own_echo(node: Node) -> None:
    assert echo("MODALITY", node.address, PATIENCE_SECONDS) < PATIENCE_SECONDS


def test_every_storage_class_is_supported_and_deflated_is_not() -> None:
    contexts = supported_contexts()
    assert len(contexts) == 172
    assert "1.2.840.10008.1.2.1.99" not in {syntax for syntaxes in contexts.values() for syntax in syntaxes}


@pytest.fixture
def long_ct(ct: Path, tmp_path: Path) -> Path:
    """An instance that is too long to be held in memory."""
    dataset = dcmread(ct)
    times = 2 + 2 * HELD_BYTES // len(dataset.PixelData)
    dataset.Rows, dataset.PixelData = dataset.Rows * times, dataset.PixelData * times
    dataset.save_as(tmp_path / "long.dcm")
    return tmp_path / "long.dcm"


@pytest.mark.parametrize("sent_bytes", [40, 4200, 20_000, 2 * HELD_BYTES])
@pytest.mark.parametrize("leave", ["abort", "close"])
def test_a_sender_that_leaves_in_the_middle_leaves_nothing_behind_and_may_send_again(
    node: Node, long_ct: Path, sent_bytes: int, leave: str
) -> None:
    with associated(node, long_ct) as association:
        raw = association.dul.socket.socket
        raw.sendall(start_of_store(long_ct, association.accepted_contexts[0].context_id, sent_bytes))
        if sent_bytes > HELD_BYTES:
            until(lambda: node.files("incoming"))
        if leave == "close":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.shutdown(socket.SHUT_RDWR)
        else:
            association.abort()
    until(lambda: node.endings() and not node.files(""))
    assert node.endings()[0] in ("aborted", "connection lost")
    assert node.instances == {}
    assert send(node, long_ct)[0].status == 0x0000
    assert list(node.instances) == [dcmread(long_ct).SOPInstanceUID]


def test_how_an_association_ended_is_recorded(node: Node, ct: Path) -> None:
    send(node, ct)
    with associated(node, ct) as association:
        association.abort()
    with associated(node, ct) as association:
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        until(lambda: node.endings()[-1:] == ["connection lost"])
    assert node.endings() == ["released", "aborted", "connection lost"]
    row = node.associations()[0]
    assert (row.calling_ae_title, row.calling_address, row.called_ae_title) == ("MODALITY", "127.0.0.1", "RADNODE")


def test_a_port_in_use_is_named_with_what_to_do(node: Node, tmp_path: Path) -> None:
    taken = ListenerSettings("RADNODE", "127.0.0.1", node.listener.port)
    index = InstanceIndex(node.database, SystemClock())
    settings, clock = Settings(), SystemClock()
    pledges = Pledges(node.database, settings.delivery, clock)
    commitment = CommitmentService(RequestBook(node.database, settings, clock), pledges)
    with pytest.raises(SettingsError, match=f"127.0.0.1:{node.listener.port}.*RADNODE_DICOM_PORT"):
        Listener(taken, node.archive, index, commitment).start()


def test_one_association_too_many_is_refused_as_transient(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=1) as node, associated(node, ct):
        with RawPeer.connect(node.listener.port) as peer:
            kind, body = peer.say(PROPOSAL).hear()
        assert (kind, tuple(body[1:])) == (3, (2, 3, 2))


@pytest.mark.parametrize("sop_class", ["1.2.840.10008.5.1.4.1.1.4", "1.3.46.670589.5.0.1.1", "31"])
def test_an_instance_of_a_foreign_class_does_not_end_the_association(node: Node, ct: Path, sop_class: str) -> None:
    with associated(node, ct) as association:
        assert ask(association, request_of(ct, AffectedSOPClassUID=sop_class)).Status == 0x0122
        assert ask(association, request_of(ct)).Status == 0x0000
    assert node.files("incoming") == []


@pytest.mark.parametrize("command", [b"", b"\xff" * 50, b"\0" * 50])
def test_a_command_that_cannot_be_decoded_is_aborted(node: Node, ct: Path, command: bytes) -> None:
    pdv = struct.pack(">IBB", len(command) + 2, 1, 0x03) + command
    with associated(node, ct) as association:
        association.dul.socket.socket.sendall(b"\x04\0" + struct.pack(">I", len(pdv)) + pdv)
        until(lambda: association.is_aborted)
        assert node.endings() == ["aborted"]
    assert send(node, ct)[0].status == 0x0000


def test_a_request_without_an_instance_uid_is_refused_rather_than_left_unanswered(node: Node, ct: Path) -> None:
    request = request_of(ct)
    request.AffectedSOPInstanceUID = None
    with associated(node, ct) as association:
        assert ask(association, request).Status == 0xC000
        assert ask(association, request_of(ct)).Status == 0x0000


def test_draining_lets_an_open_association_finish_and_takes_no_new_one(node: Node, ct: Path) -> None:
    port = node.listener.port
    aborted: list[int] = []
    with associated(node, ct) as association:
        draining = threading.Thread(target=lambda: aborted.append(node.listener.drain(PATIENCE_SECONDS)))
        draining.start()
        until(lambda: not is_listening(port))
        assert ask(association, request_of(ct)).Status == 0x0000
        association.release()
        draining.join(PATIENCE_SECONDS)
    assert aborted == [0]
    assert node.endings() == ["released"]
    assert list(node.instances) == [dcmread(ct).SOPInstanceUID]


def test_draining_aborts_an_association_that_never_ends(node: Node, ct: Path) -> None:
    with associated(node, ct):
        assert node.listener.drain(0.2) == 1
        assert node.endings() == ["aborted"]


def test_draining_ends_an_association_that_is_silent_within_a_pdu(node: Node, ct: Path) -> None:
    with associated(node, ct) as association:
        raw = association.dul.socket.socket
        raw.sendall(start_of_store(ct, association.accepted_contexts[0].context_id, 2000))
        assert node.listener.drain(0.2) == 1
        assert node.endings() == ["aborted"]
    assert node.files("") == []


def test_a_connection_closed_before_any_request_occupies_nothing(node: Node) -> None:
    for _ in range(3):
        socket.create_connection(("127.0.0.1", node.listener.port)).close()
    assert node.listener.drain(PATIENCE_SECONDS) == 0
