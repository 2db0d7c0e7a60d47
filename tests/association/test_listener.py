"""The SCP over loopback: success means safe, a failure says why, and nothing is left half done."""

from __future__ import annotations

import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from dcmtk import data_set_bytes, misc_files, needs_dcmtk, run, transfer_syntax
from pydicom import dcmread
from pynetdicom import AE
from pynetdicom.association import Association as Requested
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.presentation import build_context
from sqlalchemy import select

from node.archive import Archive
from node.association import Listener, ListenerSettings
from node.association.contexts import supported_contexts
from node.clock import SystemClock
from node.database import Association, Database, Instance
from node.delivery.scu import StoreAnswer, echo, send_instances
from node.errors import SettingsError
from node.studies.index import InstanceIndex
from node.vocabulary import PeerAddress


@dataclass
class Node:
    """What receives: a listener with a real archive and a real database behind it."""

    listener: Listener
    archive: Archive
    database: Database

    @property
    def address(self) -> PeerAddress:
        return PeerAddress("RADNODE", "127.0.0.1", self.listener.port)

    @property
    def instances(self) -> dict[str, Path]:
        """Where each instance in the index lies, by its SOP Instance UID."""
        with self.database.reading() as session:
            return {row.sop_instance_uid: self.archive.path_of(row.path) for row in session.scalars(select(Instance))}

    def associations(self) -> list[Association]:
        with self.database.reading() as session:
            return list(session.scalars(select(Association).order_by(Association.id)))

    def endings(self) -> list[str]:
        """How each association ended, once all have."""
        wait_until(lambda: all(row.closed_at is not None for row in self.associations()))
        return [row.closed_how for row in self.associations()]

    def files(self, folder: str) -> list[Path]:
        return [path for path in self.archive.path_of(folder).rglob("*") if path.is_file()]


@contextmanager
def running(root: Path, reserve_bytes: int = 0, **settings: Any) -> Iterator[Node]:
    database = Database(root / "node.db")
    database.migrate()
    archive = Archive(root / "archive", reserve_bytes)
    listening = ListenerSettings("RADNODE", "127.0.0.1", 0, **settings)
    node = Node(Listener(listening, archive, InstanceIndex(database, SystemClock())), archive, database)
    node.listener.start()
    try:
        yield node
    finally:
        node.listener.stop()
        database.close()


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    with running(tmp_path) as started:
        yield started


@pytest.fixture
def ct(shared: Path) -> Path:
    return misc_files(shared, "CT_d7ed60")[0]


def send(node: Node, *paths: Path) -> list[StoreAnswer]:
    return list(send_instances("MODALITY", node.address, paths, 10.0))


def wait_until(holds: Any) -> None:
    pause = threading.Event()
    for _ in range(400):
        if holds():
            return
        pause.wait(0.025)
    raise AssertionError("waited ten seconds in vain")


@contextmanager
def associated(node: Node, path: Path) -> Iterator[Requested]:
    """Associate as a peer that may say anything afterwards."""
    ae = AE("MODALITY")
    dataset = dcmread(path)
    ae.requested_contexts = [build_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)]
    ae.acse_timeout = ae.dimse_timeout = 10
    association = ae.associate(node.address.host, node.address.port)
    assert association.is_established
    raw = association.dul.socket.socket
    try:
        yield association
    finally:
        association.abort()
        raw.close()  # which pynetdicom leaves to the collector when the connection is gone already


def request_of(path: Path, **changes: str) -> C_STORE:
    """Return a C-STORE request for the file, with a command set that may say something else."""
    meta = dcmread(path, stop_before_pixels=True).file_meta
    request = C_STORE()
    request.MessageID, request.Priority = 1, 0
    request.AffectedSOPClassUID = meta.MediaStorageSOPClassUID
    request.AffectedSOPInstanceUID = meta.MediaStorageSOPInstanceUID
    request.DataSet = BytesIO(data_set_bytes(path))
    for keyword, value in changes.items():
        setattr(request, keyword, value)
    return request


def ask(association: Requested, request: C_STORE) -> Any:
    """Send a request as it is and return the response."""
    association._reactor_checkpoint.clear()
    wait_until(lambda: association._is_paused)
    association.dimse.send_msg(request, association.accepted_contexts[0].context_id)
    _, response = association.dimse.get_msg(block=True)
    association._reactor_checkpoint.set()
    return response


def answer_to(node: Node, path: Path, data_set: bytes | None = None, **changes: str) -> tuple[int, str]:
    """Return status and comment for a request that need not be what the file says."""
    request = request_of(path, **changes)
    if data_set is not None:
        request.DataSet = BytesIO(data_set)
    with associated(node, path) as association:
        response = ask(association, request)
        return response.Status, response.ErrorComment or ""


@needs_dcmtk
def test_dcmtk_echoes(node: Node) -> None:
    assert run("echoscu", "-aec", "RADNODE", "127.0.0.1", node.listener.port).returncode == 0


def test_the_node_answers_its_own_echo(node: Node) -> None:
    assert echo("MODALITY", node.address, 10.0) < 10.0


SYNTAX_OPTIONS = {
    "MR_fe06ac": "-xi",
    "CT_d7ed60": "-xe",
    "MR_77228f": "-xb",
    "CT_8577a8_CT2_JPLL": "-xs",
    "CR_d06de3_RG3_JPLY": "-xx",
    "MR_43867b_MR2_JPLY": "-xx",
    "CT_7ad993_CT2_JLSL": "-xt",
    "CT_cd7519_CT2_JLSN": "-xu",
    "MR_90db4c_MR2_J2KR": "-xv",
    "CT_84a1fc_CT2_J2KI": "-xw",
    "MR_072779_MR2_RLE": "-xr",
}


@needs_dcmtk
@pytest.mark.parametrize("name", SYNTAX_OPTIONS)
def test_the_pixels_dcmtk_sends_are_kept_bit_for_bit_in_their_transfer_syntax(
    node: Node, shared: Path, name: str
) -> None:
    (path,) = misc_files(shared, name)
    sent = run("storescu", SYNTAX_OPTIONS[name], "-aec", "RADNODE", "127.0.0.1", node.listener.port, path)
    assert sent.returncode == 0, sent.stderr
    original = dcmread(path)
    kept = node.instances[original.SOPInstanceUID]
    assert transfer_syntax(kept) == original.file_meta.TransferSyntaxUID
    assert dcmread(kept).PixelData == original.PixelData


def test_what_is_sent_as_on_disk_is_kept_byte_for_byte(node: Node, shared: Path) -> None:
    paths = misc_files(shared, *SYNTAX_OPTIONS)
    assert {answer.status for answer in send(node, *paths)} == {0x0000}
    kept = node.instances
    for path in paths:
        assert data_set_bytes(kept[dcmread(path).SOPInstanceUID]) == data_set_bytes(path)


@needs_dcmtk
def test_a_folder_sent_by_dcmsend_is_kept_whole(node: Node, shared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    paths = misc_files(shared, *SYNTAX_OPTIONS, "DX_fdfe27", "PT_42bda8", "SEG_205758", "SR_d694cc", "RTDOSE_18193f")
    for path in paths:
        shutil.copy(path, folder)
    sent = run("dcmsend", "-aec", "RADNODE", "--scan-directories", "127.0.0.1", node.listener.port, folder)
    assert sent.returncode == 0, sent.stderr
    assert set(node.instances) == {str(dcmread(path).SOPInstanceUID) for path in paths}
    assert set(node.endings()) == {"released"}


def test_every_storage_class_is_supported_and_deflated_is_not() -> None:
    contexts = supported_contexts()
    assert len(contexts) == 171
    assert "1.2.840.10008.1.2.1.99" not in {syntax for c in contexts for syntax in c.transfer_syntax}


def test_an_instance_sent_twice_is_in_the_index_once(node: Node, ct: Path) -> None:
    assert [answer.status for answer in send(node, ct, ct)] == [0x0000, 0x0000]
    assert len(node.instances) == len(node.files("instances")) == 1


def test_the_same_uid_with_other_content_is_refused_and_both_contents_exist(node: Node, ct: Path) -> None:
    assert send(node, ct)[0].status == 0x0000
    name = str(dcmread(ct).PatientName).encode()
    encoded = data_set_bytes(ct)
    status, comment = answer_to(node, ct, encoded.replace(name, b"X" * len(name)))
    assert status == 0xC001
    assert comment
    assert name.decode() not in comment
    (first,), (second,) = node.files("instances"), node.files("quarantine")
    assert data_set_bytes(first) == encoded
    assert data_set_bytes(second) == encoded.replace(name, b"X" * len(name))
    assert list(node.instances.values()) == [first]


def test_a_truncated_data_set_is_refused_although_its_last_fragment_says_so(node: Node, ct: Path) -> None:
    status, comment = answer_to(node, ct, data_set_bytes(ct)[:-2])
    assert status == 0xC000
    assert comment == "data set, byte 38648: (FFFC,FFFC) of 126 bytes runs past its end"[:64]
    assert node.files("") == []


def test_a_request_without_a_data_set_is_refused(node: Node, ct: Path) -> None:
    request = request_of(ct)
    request.DataSet = None
    with associated(node, ct) as association:
        assert ask(association, request).Status == 0xC000


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"])
def test_a_data_set_without_a_uid_is_answered_a900(node: Node, ct: Path, tmp_path: Path, keyword: str) -> None:
    dataset = dcmread(ct)
    del dataset[keyword]
    dataset.save_as(tmp_path / "lacking.dcm")
    status, comment = answer_to(node, ct, data_set_bytes(tmp_path / "lacking.dcm"))
    assert status == 0xA900
    assert comment.startswith(keyword)
    assert node.files("") == []


def test_a_command_that_names_another_instance_is_answered_a900(node: Node, ct: Path) -> None:
    assert answer_to(node, ct, AffectedSOPInstanceUID="1.2.3")[0] == 0xA900


def test_a_command_that_names_another_class_than_its_context_is_answered_0122(node: Node, ct: Path) -> None:
    assert answer_to(node, ct, AffectedSOPClassUID="1.2.840.10008.5.1.4.1.1.4")[0] == 0x0122
    assert node.files("") == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("text", ["../../../../tmp/x", "1.2/../3", "..", "1..2"])
def test_a_uid_that_looks_like_a_path_is_refused_and_writes_nothing(
    node: Node, ct: Path, tmp_path: Path, text: str
) -> None:
    before = {path for path in tmp_path.rglob("*") if "node.db" not in path.name}
    assert answer_to(node, ct, AffectedSOPInstanceUID=text)[0] == 0xC000
    assert {path for path in tmp_path.rglob("*") if "node.db" not in path.name} == before


def test_an_instance_is_refused_for_now_when_the_disk_is_low(tmp_path: Path, ct: Path) -> None:
    reserve = 2 * shutil.disk_usage(tmp_path).free
    with running(tmp_path, reserve_bytes=reserve) as node:
        (answer,) = send(node, ct)
        assert answer.status == 0xA700
        assert node.files("") == []


def start_of_store(path: Path, context_id: int, keep_bytes: int) -> bytes:
    """Return the PDUs of a C-STORE request of which only so many bytes of the data set ever come."""
    message = C_STORE_RQ()
    message.primitive_to_message(request_of(path))
    pdus = b"".join(P_DATA_TF(piece).encode() for piece in message.encode_msg(context_id, 4096))
    return pdus[:keep_bytes]


@pytest.mark.parametrize("sent_bytes", [40, 300, 4100, 4200, 20_000])
@pytest.mark.parametrize("leave", ["abort", "close"])
def test_a_sender_that_leaves_in_the_middle_leaves_nothing_behind_and_may_send_again(
    node: Node, ct: Path, sent_bytes: int, leave: str
) -> None:
    with associated(node, ct) as association:
        raw = association.dul.socket.socket
        raw.sendall(start_of_store(ct, association.accepted_contexts[0].context_id, sent_bytes))
        if sent_bytes > 4200:
            wait_until(lambda: node.files("incoming"))
        if leave == "close":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raw.shutdown(socket.SHUT_RDWR)
        else:
            association.abort()
    wait_until(lambda: node.endings() and not node.files(""))
    assert node.endings()[0] in ("aborted", "connection lost")
    assert node.instances == {}
    assert send(node, ct)[0].status == 0x0000
    assert list(node.instances) == [dcmread(ct).SOPInstanceUID]


def test_how_an_association_ended_is_recorded(node: Node, ct: Path) -> None:
    send(node, ct)
    with associated(node, ct) as association:
        association.abort()
    with associated(node, ct) as association:
        association.dul.socket.socket.shutdown(socket.SHUT_RDWR)
        wait_until(lambda: node.endings()[-1:] == ["connection lost"])
    assert node.endings() == ["released", "aborted", "connection lost"]
    row = node.associations()[0]
    assert (row.calling_ae_title, row.calling_address, row.called_ae_title) == ("MODALITY", "127.0.0.1", "RADNODE")


def test_a_port_in_use_is_named_with_what_to_do(node: Node, tmp_path: Path) -> None:
    taken = ListenerSettings("RADNODE", "127.0.0.1", node.listener.port)
    with pytest.raises(SettingsError, match=f"127.0.0.1:{node.listener.port}.*RADNODE_DICOM_PORT"):
        Listener(taken, node.archive, InstanceIndex(node.database, SystemClock())).start()


def test_one_association_too_many_is_refused_as_transient(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, max_associations=1) as node, associated(node, ct):
        ae = AE("OTHER")
        ae.requested_contexts = [build_context("1.2.840.10008.1.1")]
        refused = ae.associate("127.0.0.1", node.listener.port)
        assert refused.is_rejected
        answer = refused.acceptor.primitive
        assert answer is not None
        assert (answer.result, answer.result_source, answer.diagnostic) == (2, 3, 2)


def test_a_pdu_longer_than_any_allowed_closes_the_connection(node: Node, ct: Path) -> None:
    with associated(node, ct) as association:
        association.dul.socket.socket.sendall(b"\x04\x00" + (1 << 30).to_bytes(4, "big"))
        wait_until(lambda: node.endings() == ["connection lost"])
    assert send(node, ct)[0].status == 0x0000


def test_draining_lets_an_open_association_finish_and_takes_no_new_one(node: Node, ct: Path) -> None:
    port = node.listener.port
    aborted: list[int] = []
    with associated(node, ct) as association:
        draining = threading.Thread(target=lambda: aborted.append(node.listener.drain(20.0)))
        draining.start()
        wait_until(lambda: not is_listening(port))
        assert ask(association, request_of(ct)).Status == 0x0000
        association.release()
        draining.join(10)
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


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return False
    return True


def test_four_senders_at_once_lose_nothing(node: Node, shared: Path) -> None:
    paths = misc_files(shared, *SYNTAX_OPTIONS)
    answers: list[StoreAnswer] = []
    senders = [threading.Thread(target=lambda: answers.extend(send(node, *paths))) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(60)
    assert [answer.status for answer in answers] == [0x0000] * (4 * len(paths))
    assert len(node.instances) == len(node.files("instances")) == len(paths)
    assert node.endings() == ["released"] * 4
