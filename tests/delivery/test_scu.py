"""Sending over C-STORE: the bytes on disk arrive, every answer is understood, none is lost."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dcmtk import data_set_bytes, free_port, misc_files, needs_dcmtk, store_scp, transfer_syntax
from ending import end_entity
from pydicom import dcmread, uid
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.presentation import AllStoragePresentationContexts, build_context
from waiting import PATIENCE_SECONDS

from node.delivery.scu import Fate, StoreAnswer, classify, echo, send_instances
from node.errors import DeliveryDelayed, DeliveryRefused
from node.vocabulary import PeerAddress

TIMEOUT = PATIENCE_SECONDS


@contextmanager
def scp(answer: Any = 0x0000, contexts: Any = AllStoragePresentationContexts, **limits: Any) -> Iterator[PeerAddress]:
    """Run a small real SCP; `answer` is a status, or a function of the C-STORE event."""
    ae = AE("PACS")
    ae.supported_contexts = contexts
    ae.add_supported_context("1.2.840.10008.1.1")
    for name, value in limits.items():
        setattr(ae, name, value)
    handler = answer if callable(answer) else lambda _event: answer
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, handler)])
    assert server is not None
    try:
        yield PeerAddress("PACS", "127.0.0.1", server.server_address[1])
    finally:
        end_entity(ae)


def send(peer: PeerAddress, *paths: Path, timeout: float = TIMEOUT) -> list[StoreAnswer]:
    return list(send_instances("RADNODE", peer, paths, timeout))


@pytest.fixture
def ct(shared: Path) -> Path:
    return misc_files(shared, "CT_d7ed60")[0]


@pytest.fixture
def small(shared: Path) -> Path:
    """Give an instance of 2 kB in a transfer syntax that every SCP accepts."""
    return misc_files(shared, "SR_d694cc")[0]


@needs_dcmtk
def test_the_data_set_on_disk_arrives_byte_for_byte_in_every_transfer_syntax(shared: Path, tmp_path: Path) -> None:
    paths = misc_files(
        shared, "MR_fe06ac", "MR_9f5605", "MR_d3e7cf", "MR_072779_MR2_RLE", "CR_d06de3_RG3_JPLY", "CT_8577a8_CT2_JPLL"
    ) + misc_files(shared, "CT_7ad993_CT2_JLSL", "CT_84a1fc_CT2_J2KI", "XX_3fb9a6", "CT_148f44_mf")
    with store_scp(tmp_path / "pacs", "+uf") as peer:
        answers = send(peer, *paths)
    stored = {data_set_bytes(path): transfer_syntax(path) for path in (tmp_path / "pacs").iterdir()}
    accepted = [answer.path for answer in answers if answer.status == 0]
    assert [answer.path for answer in answers] == list(paths)
    assert set(paths) - set(accepted) == set(misc_files(shared, "XX_3fb9a6"))
    assert stored == {data_set_bytes(path): transfer_syntax(path) for path in accepted}


def test_an_instance_the_peer_has_no_context_for_is_refused_and_the_others_are_sent(ct: Path, small: Path) -> None:
    only_reports = [build_context(dcmread(small).SOPClassUID)]
    with scp(contexts=only_reports) as peer:
        refused, sent = send(peer, ct, small)
    assert (refused.status, classify(refused.status)) == (0x0122, Fate.DEAD)
    assert "CT Image Storage" in refused.comment
    assert sent.status == 0x0000


def test_every_instance_is_refused_when_the_peer_accepts_no_context(ct: Path) -> None:
    with scp(contexts=[build_context("1.2.840.10008.1.1")]) as peer:
        answers = send(peer, ct, ct)
    assert [answer.status for answer in answers] == [0x0122, 0x0122]


def test_more_contexts_than_an_association_holds_are_sent_over_several(small: Path, tmp_path: Path) -> None:
    classes = [context.abstract_syntax for context in AllStoragePresentationContexts][:130]
    paths = [rewritten(small, tmp_path / f"{n}.dcm", SOPClassUID=c) for n, c in enumerate(classes)]
    seen: set[int] = set()

    def note(event: evt.Event) -> int:
        seen.add(id(event.assoc))
        return 0x0000

    with scp(note) as peer:
        answers = send(peer, *paths)
    assert {answer.status for answer in answers} == {0x0000}
    assert len(seen) == 3  # two contexts for each class, 128 in one association


def test_the_comment_of_a_failure_is_handed_on(ct: Path) -> None:
    failure = Dataset()
    failure.Status, failure.ErrorComment = 0xA700, "disk full"
    with scp(failure) as peer:
        (answer,) = send(peer, ct)
    assert (answer.status, answer.comment, answer.text) == (0xA700, "disk full", "A700: disk full")


@pytest.mark.parametrize(
    ("status", "fate"),
    [
        (0x0000, Fate.SENT),
        (0xB000, Fate.SENT),
        (0xB006, Fate.SENT),
        (0xB007, Fate.SENT),
        (0xA700, Fate.RETRY),
        (0xA7FF, Fate.RETRY),
        (0xA900, Fate.DEAD),
        (0xA9FF, Fate.DEAD),
        (0xC000, Fate.DEAD),
        (0xCFFF, Fate.DEAD),
        (0x0122, Fate.DEAD),
        (0x0110, Fate.RETRY),
        (0xB001, Fate.RETRY),
        (0xFF00, Fate.RETRY),
    ],
)
def test_a_status_decides_what_becomes_of_the_delivery(status: int, fate: Fate) -> None:
    assert classify(status) is fate


def test_a_peer_that_does_not_listen_delays_the_delivery(ct: Path) -> None:
    peer = PeerAddress("PACS", "127.0.0.1", free_port())
    with pytest.raises(DeliveryDelayed, match=f"PACS at 127.0.0.1:{peer.port}"):
        send(peer, ct)


def test_a_host_without_an_address_delays_the_delivery(ct: Path) -> None:
    with pytest.raises(DeliveryDelayed, match=r"PACS at nowhere\.invalid"):
        send(PeerAddress("PACS", "nowhere.invalid", 104), ct)


def test_a_refused_association_delays_the_delivery_and_names_the_reason(ct: Path) -> None:
    with scp(require_calling_aet=["OTHER"]) as peer, pytest.raises(DeliveryDelayed, match=r"[Cc]alling AE"):
        send(peer, ct)


def test_a_peer_that_accepts_and_says_nothing_delays_the_delivery(ct: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(DeliveryDelayed):
        send(PeerAddress("PACS", "127.0.0.1", silent.getsockname()[1]), ct, timeout=0.5)


def test_an_abort_instead_of_an_answer_delays_the_rest(ct: Path, small: Path) -> None:
    def abort_second(event: evt.Event) -> int:
        if event.request.MessageID == 2:
            event.assoc.abort()
        return 0x0000

    answers: list[StoreAnswer] = []
    with scp(abort_second) as peer, pytest.raises(DeliveryDelayed):
        answers.extend(send_instances("RADNODE", peer, [ct, small, ct], TIMEOUT))
    assert [answer.status for answer in answers] == [0x0000]


def test_a_peer_that_never_answers_is_given_up_after_the_timeout(ct: Path) -> None:
    release = threading.Event()

    def hang(event: evt.Event) -> int:
        release.wait(20)
        return 0x0000

    with scp(hang) as peer:
        try:
            with pytest.raises(DeliveryDelayed, match="no answer"):
                send(peer, ct, timeout=0.5)
        finally:
            release.set()


def test_a_file_that_is_no_dicom_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not an instance")
    with scp() as peer, pytest.raises(DeliveryRefused, match=r"notes\.txt"):
        send(peer, path)


def test_echo_tells_how_long_the_peer_took() -> None:
    with scp() as peer:
        assert 0 < echo("RADNODE", peer, TIMEOUT) < TIMEOUT


def test_echo_to_a_peer_that_does_not_listen_is_a_delay() -> None:
    with pytest.raises(DeliveryDelayed):
        echo("RADNODE", PeerAddress("PACS", "127.0.0.1", free_port()), TIMEOUT)


@pytest.mark.long
def test_no_response_is_lost_in_thousands_of_small_sends(small: Path) -> None:
    with scp() as peer:
        answers = send(peer, *[small] * 5000)
    assert [answer.status for answer in answers] == [0x0000] * 5000


def rewritten(source: Path, target: Path, **changes: Any) -> Path:
    """Write the instance again with other attributes, and a SOP Instance UID of its own."""
    dataset = dcmread(source)
    dataset.SOPInstanceUID = uid.generate_uid(entropy_srcs=[str(target)])
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.save_as(target)
    return target


@needs_dcmtk
def test_a_peer_that_takes_implicit_vr_only_gets_the_same_data_set_in_it(shared: Path, tmp_path: Path) -> None:
    paths = misc_files(shared, "CT_d7ed60", "SR_d694cc")
    explicit = [rewritten_in(path, tmp_path / path.name, uid.ExplicitVRLittleEndian) for path in paths]
    with store_scp(tmp_path / "pacs", "+xi", "+uf") as peer:
        answers = send(peer, *explicit)
    assert [answer.status for answer in answers] == [0x0000, 0x0000]
    stored = {dcmread(path).SOPInstanceUID: path for path in (tmp_path / "pacs").iterdir()}
    assert {transfer_syntax(path) for path in stored.values()} == {uid.ImplicitVRLittleEndian}
    for path in explicit:
        sent, kept = dcmread(path), dcmread(stored[dcmread(path).SOPInstanceUID])
        assert {e.tag: e.value for e in kept} == {e.tag: e.value for e in sent}


def test_a_compressed_instance_is_never_written_anew(shared: Path) -> None:
    (path,) = misc_files(shared, "CT_8577a8_CT2_JPLL")
    with scp(contexts=[build_context(dcmread(path).SOPClassUID, uid.ImplicitVRLittleEndian)]) as peer:
        (answer,) = send(peer, path)
    assert answer.status == 0x0122
    assert "does not accept CT Image Storage in JPEG Lossless" in answer.comment


def rewritten_in(source: Path, target: Path, syntax: uid.UID) -> Path:
    """Write the instance again in another transfer syntax that is not compressed."""
    dataset = dcmread(source)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(target, implicit_vr=syntax.is_implicit_VR, little_endian=True)
    return target
