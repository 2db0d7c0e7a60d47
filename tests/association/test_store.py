"""C-STORE over loopback: success means safe, a failure says why, and nothing is left half done."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, misc_files, needs_dcmtk, run, transfer_syntax
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE
from pynetdicom.presentation import build_context
from raw_peer import PROPOSAL, RawPeer, data, element, pdv, tiny_command, tiny_data_set
from receiving import SERVE, Node, answer_to, ask, associated, request_of, running, send
from sqlalchemy.event import listen
from tiny_disk import fill, tiny_disk
from waiting import PATIENCE_SECONDS, until

from node.delivery.scu import StoreAnswer, send_instances
from node.studies.reconciliation import Differences, find_differences
from node.vocabulary import PeerAddress

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
def test_the_pixels_dcmtk_sends_are_kept_bit_for_bit_in_their_transfer_syntax(node: Node, shared: Path) -> None:
    for name, option in SYNTAX_OPTIONS.items():
        (path,) = misc_files(shared, name)
        sent = run("storescu", option, "-aec", "RADNODE", "127.0.0.1", node.listener.port, path)
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


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("text", ["../../../../tmp/x", "..", "1..2"])
def test_a_uid_that_looks_like_a_path_is_refused_and_writes_nothing(
    node: Node, ct: Path, tmp_path: Path, text: str
) -> None:
    def written() -> set[Path]:
        """Everything but the database, and the journal, which makes its files at leisure."""
        return {path for path in tmp_path.rglob("*") if "node.db" not in path.name and path.parent.name != "journal"}

    before = written()
    assert answer_to(node, ct, AffectedSOPInstanceUID=text)[0] == 0xC000
    assert written() == before


def test_an_instance_is_refused_for_now_when_the_disk_is_low(tmp_path: Path, ct: Path) -> None:
    reserve = 2 * shutil.disk_usage(tmp_path).free
    with running(tmp_path, reserve_bytes=reserve) as node:
        (answer,) = send(node, ct)
        assert answer.status == 0xA700
        assert node.files("") == []


def test_a_disk_that_fills_up_refuses_for_now_tears_nothing_and_recovers(tmp_path: Path, ct: Path) -> None:
    with tiny_disk(tmp_path / "tiny") as folder, running(tmp_path, archive_root=folder, is_journaled=False) as node:
        ballast = fill(folder, leave_bytes=20 * 1024)
        assert [answer.status for answer in send(node, ct, ct, ct)] == [0xA700] * 3
        assert node.files("") == [ballast]
        ballast.unlink()
        assert send(node, ct)[0].status == 0x0000
        assert data_set_bytes(node.instances[dcmread(ct).SOPInstanceUID]) == data_set_bytes(ct)


def marked(path: Path, target: Path, comment: str, **uids: str) -> Path:
    """Write the instance again as that of a patient whose name must not be found anywhere else."""
    dataset = dcmread(path)
    for keyword, uid in uids.items():
        setattr(dataset, keyword, uid)
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.PatientName, dataset.PatientID, dataset.PatientComments = "SECRET^NAME", "SECRET-ID", comment
    dataset.save_as(target)
    return target


def test_no_log_line_and_no_comment_names_the_patient(
    node: Node, ct: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    first, second = marked(ct, tmp_path / "1.dcm", "one"), marked(ct, tmp_path / "2.dcm", "two")
    (kept,), (conflict,) = send(node, first), send(node, second)
    truncated, comment = answer_to(node, first, data_set_bytes(first)[:-2])
    with sqlite3.connect(tmp_path / "node.db") as database:
        database.execute("CREATE TRIGGER broken BEFORE INSERT ON studies BEGIN SELECT RAISE(ABORT, 'broken'); END")
    (failed,) = send(node, marked(ct, tmp_path / "3.dcm", "three", StudyInstanceUID="1.2.3", SOPInstanceUID="1.2.4"))
    assert [kept.status, conflict.status, truncated, failed.status] == [0x0000, 0xC001, 0xC000, 0x0110]
    assert "instance not kept" in caplog.text
    assert "SECRET" not in caplog.text + str([kept, conflict, failed]) + comment


def test_four_senders_at_once_lose_nothing(node: Node, shared: Path) -> None:
    paths = misc_files(shared, *SYNTAX_OPTIONS)
    answers: list[StoreAnswer] = []
    senders = [threading.Thread(target=lambda: answers.extend(send(node, *paths))) for _ in range(4)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join(PATIENCE_SECONDS)
    assert [answer.status for answer in answers] == [0x0000] * (4 * len(paths))
    assert len(node.instances) == len(node.files("instances")) == len(paths)
    assert node.endings() == ["released"] * 4


def test_instances_of_four_senders_that_wait_share_one_commit(node: Node, shared: Path) -> None:
    paths = misc_files(shared, *list(SYNTAX_OPTIONS)[:4])
    commits: list[bool] = []
    engine = node.database._engine  # whose commits are flushed, as those of an association's first instance are
    listen(engine, "commit", lambda made: commits.append("is_writer" in made.get_execution_options()))
    senders = [AE().associate("127.0.0.1", node.listener.port, [build_context(*context_of(path))]) for path in paths]
    commits.clear()
    with sqlite3.connect(node.database.path, isolation_level=None) as other, ThreadPoolExecutor() as pool:
        other.execute("BEGIN IMMEDIATE")
        answers = pool.map(lambda sender, path: sender.send_c_store(path).Status, senders, paths)
        until(lambda: len(node.files("instances")) == 4)
        other.execute("ROLLBACK")
        assert list(answers) == [0x0000] * 4
    assert 0 < sum(commits) < 4
    for sender in senders:
        sender.release()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the package strace")
def test_the_first_answer_comes_after_the_journal_is_on_the_device_and_the_row_committed(
    tmp_path: Path, ct: Path
) -> None:
    steps = steps_of(tmp_path, [ct], "machine")
    assert steps[:5] == ["copy to journal", "flush journal", "rename", "commit", "answer"]


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs the package strace")
@pytest.mark.parametrize(
    ("durability", "expected"),
    [
        ("machine", ["copy to journal", "flush journal", "answer", "rename", "commit"]),
        ("process", ["copy to journal", "answer", "rename", "commit"]),
    ],
)
def test_later_answers_come_after_the_copy_in_the_journal_is_safe_and_file_and_row_in_this_order(
    tmp_path: Path, ct: Path, durability: str, expected: list[str]
) -> None:
    other = dcmread(ct)
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    other.save_as(tmp_path / "other.dcm", enforce_file_format=True)
    assert steps_of(tmp_path, [ct, tmp_path / "other.dcm"], durability)[: len(expected)] == expected


def steps_of(tmp_path: Path, paths: list[Path], durability: str) -> list[str]:
    """Return what the thread of an association that brings these did from the last one's copy in the journal on."""
    trace = tmp_path / "trace"
    calls = "trace=fdatasync,rename,pwrite64,pwritev2,sendto"
    command = ["strace", "-f", "-y", "-e", calls, "-o", trace, sys.executable, "-c", SERVE, tmp_path, durability]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        peer = PeerAddress("RADNODE", "127.0.0.1", int(process.stdout.readline()))
        answers = list(send_instances("MODALITY", peer, paths, PATIENCE_SECONDS))
        process.stdin.close()
    assert {answer.status for answer in answers} == {0x0000}
    lines = trace.read_text().splitlines()
    (thread,) = {line.split()[0] for line in lines if step_of(line) == "copy to journal"}  # others make a segment ready
    steps = [step for line in lines if line.split()[0] == thread and (step := step_of(line))]
    last = len(steps) - 1 - steps[::-1].index("copy to journal")
    return [step for step, _ in groupby(steps[last:])]


def step_of(line: str) -> str | None:
    """Name what a line of strace shows, if it is a step on the way to the answer."""
    for step, call, where in (
        ("rename", "rename(", "/archive/instances/"),
        ("copy to journal", "pwritev2(", "/archive/journal/"),
        ("flush journal", "fdatasync(", "/archive/journal/"),
        ("commit", "pwrite64(", "node.db-wal>"),
        ("answer", "sendto(", "socket:"),
    ):
        if call in line and where in line:
            return step
    return None


def test_a_repeat_in_another_transfer_syntax_leaves_no_second_file(node: Node, ct: Path, tmp_path: Path) -> None:
    recoded = tmp_path / "recoded.dcm"
    assert run("dcmconv", "+tb", ct, recoded).returncode == 0
    assert transfer_syntax(recoded) != transfer_syntax(ct)
    assert [answer.status for answer in [*send(node, ct), *send(node, recoded)]] == [0x0000, 0x0000]
    assert node.files("instances") == list(node.instances.values())
    assert data_set_bytes(node.files("instances")[0]) == data_set_bytes(ct)


def test_a_database_held_by_another_process_delays_the_sender_and_loses_nothing(tmp_path: Path, ct: Path) -> None:
    with running(tmp_path, busy_seconds=0.2) as node:
        association = AE().associate("127.0.0.1", node.listener.port, [build_context(*context_of(ct))])
        with sqlite3.connect(tmp_path / "node.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert association.send_c_store(ct).Status == 0xA700
            other.execute("ROLLBACK")
        assert association.send_c_store(ct).Status == 0x0000
        association.release()
        assert len(node.instances) == 1


def context_of(path: Path) -> tuple[str, str]:
    """Return SOP class and transfer syntax of a file."""
    meta = read_file_meta_info(path)
    return meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID


@pytest.mark.parametrize(
    ("odd", "status"),
    [(element(0x0010, 0x0030, b"DK", b"19700101"), 0xC000), (element(0x0008, 0x1030, b"QX", b"HEAD"), 0x0000)],
    ids=["birth date", "description"],
)
def test_a_value_of_no_known_vr_cannot_keep_a_node_from_starting_again(
    node: Node, odd: bytes, status: int
) -> None:
    of_the_study = tiny_data_set().index(b"\x20\0\x0d\0")
    encoded = tiny_data_set()[:of_the_study] + odd + tiny_data_set()[of_the_study:]
    with RawPeer.connect(node.listener.port) as peer:
        peer.say(PROPOSAL).hear()
        assert peer.say(data(pdv(3, 3, tiny_command())), data(pdv(3, 2, encoded))).status() == status
    assert len(node.files("instances")) == (status == 0x0000)
    assert find_differences(node.database, node.archive) == Differences((), ())
