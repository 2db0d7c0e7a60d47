"""A data set on its way to a part, and the answer to each way it can go wrong."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from raw_peer import CT_CLASS, EXPLICIT, VERIFICATION, tiny_data_set

from node.archive import Archive
from node.archive.part import HELD_BYTES
from node.association.incoming import IncomingInstance
from node.association.negotiation import AnsweredContext, answer_contexts
from node.association.proposal import Proposal, ProposedContext
from node.association.statuses import Answer, CommitmentStatus, StoreStatus, commitment_status_of, status_of
from node.errors import (
    ArchiveError,
    ArchiveFull,
    ContextMismatch,
    DatabaseBusy,
    InstanceConflict,
    InstanceMismatch,
    InstanceTooLarge,
    MalformedCommitment,
    MalformedInstance,
    ProtocolViolation,
    TooMuchAsked,
    TransactionReused,
    UnknownPeer,
    UnknownTransaction,
)
from node.upper_layer.command import Command, Request
from node.upper_layer.pdu import AbortReason

DATA_SET = memoryview(tiny_data_set())
SIZE = len(DATA_SET)
LONG_DATA_SET = memoryview(bytes(HELD_BYTES))  # with what precedes it in its file more than is held in memory


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path)


def context(abstract_syntax: str = CT_CLASS) -> AnsweredContext:
    proposed = (ProposedContext(3, abstract_syntax, (EXPLICIT,)),)
    proposal = Proposal(1, "A", "B", bytes(32), "", proposed, 0, {})
    return answer_contexts(proposal, {abstract_syntax: (EXPLICIT,)})[0]


def store(sop_class: str = CT_CLASS, instance: str = "1.44", has_data_set: bool = True) -> Request:
    return Request(3, Command.C_STORE_RQ, 1, has_data_set, sop_class, instance)


def incoming(
    archive: Archive, request: Request, largest_bytes: int = SIZE, abstract_syntax: str = CT_CLASS
) -> IncomingInstance:
    opened = IncomingInstance(archive, largest_bytes)
    opened.open(request, context(abstract_syntax))
    return opened


def parts(archive: Archive) -> list[Path]:
    return list(archive.path_of("incoming").iterdir())


def test_fragments_become_a_part_that_is_claimed_once(archive: Archive) -> None:
    opened = incoming(archive, store())
    opened.write(DATA_SET[:5])
    opened.write(DATA_SET[5:])
    part = opened.claim()
    opened.discard()  # it is the claimer's
    received = archive.finish(part)
    assert (received.sop_instance_uid, received.size) == ("1.44", SIZE)
    assert received.transfer_syntax_uid == EXPLICIT


def test_what_nobody_claimed_leaves_nothing_behind(archive: Archive) -> None:
    opened = incoming(archive, store(), 2 * HELD_BYTES)
    opened.write(DATA_SET[:5])
    opened.write(LONG_DATA_SET)
    assert len(parts(archive)) == 1
    opened.discard()
    assert parts(archive) == []


@pytest.mark.parametrize(
    ("request_", "abstract_syntax", "error", "words"),
    [
        (store(has_data_set=False), CT_CLASS, MalformedInstance, "data set: found none"),
        (store(), "1.2.840.10008.5.1.4.1.1.4", ContextMismatch, "found another than its presentation context"),
        (store(VERIFICATION), VERIFICATION, ContextMismatch, "found another than its presentation context"),
        (store(instance="../1"), CT_CLASS, MalformedInstance, "Affected SOP Instance UID"),
        (store(instance=""), CT_CLASS, MalformedInstance, "Affected SOP Instance UID"),
        (store("1.2.x"), "1.2.x", MalformedInstance, "Affected SOP Class UID"),
    ],
)
def test_a_request_that_cannot_be_kept_is_refused_when_its_data_set_is_complete(
    archive: Archive, request_: Request, abstract_syntax: str, error: type[ArchiveError], words: str
) -> None:
    opened = incoming(archive, request_, abstract_syntax=abstract_syntax)
    assert parts(archive) == []
    opened.write(DATA_SET)
    with pytest.raises(error, match=words):
        opened.claim()
    opened.discard()


def test_a_data_set_as_long_as_the_limit_is_kept_and_one_byte_more_refused(archive: Archive) -> None:
    whole = incoming(archive, store(), HELD_BYTES)
    whole.write(LONG_DATA_SET)
    whole.claim().discard()
    cut = incoming(archive, store(), HELD_BYTES - 1)
    cut.write(LONG_DATA_SET[:-1])
    assert len(parts(archive)) == 1
    cut.write(LONG_DATA_SET[-1:])
    assert parts(archive) == []  # at once
    with pytest.raises(InstanceTooLarge, match=rf"over {HELD_BYTES - 1} bytes"):
        cut.claim()


def test_the_first_error_is_the_one_that_is_answered(archive: Archive) -> None:
    opened = incoming(archive, store(has_data_set=False), 4)
    opened.write(DATA_SET[:8])
    with pytest.raises(MalformedInstance, match="found none"):
        opened.claim()
    torn = incoming(archive, store(), 4)
    torn.write(DATA_SET[:5])
    torn.write(DATA_SET[5:6])
    with pytest.raises(InstanceTooLarge):
        torn.claim()


def test_a_data_set_without_an_end_is_a_violation_even_when_it_is_refused_already(archive: Archive) -> None:
    for opened in (incoming(archive, store(), 4), incoming(archive, store(has_data_set=False), 4)):
        opened.write(DATA_SET[:8])
        with pytest.raises(ProtocolViolation, match="no end") as violation:
            opened.write(DATA_SET[8:9])
        assert violation.value.reason is AbortReason.NOT_SPECIFIED


def test_a_disk_that_fails_is_answered_when_the_data_set_is_complete(archive: Archive) -> None:
    opened = incoming(archive, store(), largest_bytes=9 << 20)
    opened.write(DATA_SET[:5])
    archive.path_of("incoming").rename(archive.path_of("elsewhere"))
    opened.write(memoryview(bytes(8 << 20)))  # so much that the free space is looked at again
    opened.write(DATA_SET[5:])
    with pytest.raises(FileNotFoundError):
        opened.claim()
    lost = incoming(archive, store())
    with pytest.raises(FileNotFoundError):
        lost.claim()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ArchiveFull("x"), 0xA700),
        (InstanceTooLarge("x"), 0xA700),
        (DatabaseBusy("x"), 0xA700),
        (ContextMismatch("x"), 0x0122),
        (InstanceMismatch("x"), 0xA900),
        (MalformedInstance("x"), 0xC000),
        (InstanceConflict("x"), 0xC001),
        (OSError(errno.EIO, "x"), 0x0110),
        (ArchiveError("x"), 0x0110),
    ],
)
def test_each_failure_is_answered_with_the_status_of_the_standard(error: Exception, status: int) -> None:
    assert status_of(error) == status


def test_success_is_zero_and_says_nothing() -> None:
    assert (int(Answer(StoreStatus.SUCCESS).status), Answer(StoreStatus.SUCCESS).comment) == (0x0000, "")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (MalformedCommitment(""), 0x0115),
        (UnknownTransaction(""), 0x0115),
        (UnknownPeer(""), 0x0124),
        (TransactionReused(""), 0x0131),
        (TooMuchAsked(""), 0x0213),
        (ArchiveFull(""), 0x0213),
        (DatabaseBusy(""), 0x0213),
        (ValueError(""), 0x0110),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else f"{value:04X}",
)
def test_each_failure_of_storage_commitment_has_its_status(error: Exception, status: int) -> None:
    assert commitment_status_of(error) == status


def test_statuses_are_those_of_the_standard() -> None:
    """PS3.7 Annex C; PS3.4 Table B.2-1."""
    assert {status.name: f"{status:04X}" for status in CommitmentStatus} == {
        "SUCCESS": "0000",
        "PROCESSING_FAILURE": "0110",
        "NO_SUCH_INSTANCE": "0112",
        "NO_SUCH_EVENT": "0113",
        "INVALID_ARGUMENT": "0115",
        "NO_SUCH_CLASS": "0118",
        "NO_SUCH_ACTION": "0123",
        "NOT_AUTHORISED": "0124",
        "DUPLICATE_TRANSACTION": "0131",
        "RESOURCE_LIMITATION": "0213",
    }
    assert {status.name: f"{status:04X}" for status in StoreStatus} == {
        "SUCCESS": "0000",
        "PROCESSING_FAILURE": "0110",
        "SOP_CLASS_NOT_SUPPORTED": "0122",
        "OUT_OF_RESOURCES": "A700",
        "MISMATCH": "A900",
        "CANNOT_UNDERSTAND": "C000",
        "CONFLICT": "C001",
    }
