"""The answers to C-STORE and to storage commitment, and which failure gets which."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from node.errors import (
    ArchiveFull,
    ContextMismatch,
    DatabaseBusy,
    InstanceConflict,
    InstanceMismatch,
    InstanceTooLarge,
    MalformedCommitment,
    MalformedInstance,
    TooMuchAsked,
    TransactionReused,
    UnknownPeer,
    UnknownTransaction,
)


class StoreStatus(IntEnum):
    """Status of a C-STORE response (PS3.4 B.2.3, PS3.7 Annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110  # PS3.7 C.5.20: our fault, and none of the others
    SOP_CLASS_NOT_SUPPORTED = 0x0122  # PS3.7 C.5.24: the command names another class than its context
    OUT_OF_RESOURCES = 0xA700  # PS3.4 Table B.2-1: the sender keeps it and tries again
    MISMATCH = 0xA900  # PS3.4 Table B.2-1: a UID is missing or contradicts the command
    CANNOT_UNDERSTAND = 0xC000  # PS3.4 Table B.2-1: the data set does not end where its lengths say
    CONFLICT = 0xC001  # PS3.4 Table B.2-1, our choice of Cxxx: the UID is known with other content


class CommitmentStatus(IntEnum):
    """Status of an N-ACTION or N-EVENT-REPORT response (PS3.7 C.4, C.5)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110  # our fault, and none of the others
    NO_SUCH_INSTANCE = 0x0112  # another than the one instance of storage commitment
    NO_SUCH_EVENT = 0x0113
    INVALID_ARGUMENT = 0x0115  # the data set cannot be read, or reports on what we did not ask
    NO_SUCH_CLASS = 0x0118  # another SOP class than storage commitment
    NO_SUCH_ACTION = 0x0123
    NOT_AUTHORISED = 0x0124  # we know no address to report to
    DUPLICATE_TRANSACTION = 0x0131  # PS3.3 C.14.1.1: the transaction is known with other instances
    RESOURCE_LIMITATION = 0x0213  # longer than we take, more than we keep, or the index is busy: later, or less


class Answer(NamedTuple):
    """What a response says: a status and, for a failure, an Error Comment."""

    status: StoreStatus | CommitmentStatus
    comment: str = ""


_COMMITMENT_STATUSES: tuple[tuple[type[Exception], CommitmentStatus], ...] = (
    (MalformedCommitment, CommitmentStatus.INVALID_ARGUMENT),
    (UnknownTransaction, CommitmentStatus.INVALID_ARGUMENT),
    (UnknownPeer, CommitmentStatus.NOT_AUTHORISED),
    (TransactionReused, CommitmentStatus.DUPLICATE_TRANSACTION),
    (TooMuchAsked, CommitmentStatus.RESOURCE_LIMITATION),
    (ArchiveFull, CommitmentStatus.RESOURCE_LIMITATION),
    (DatabaseBusy, CommitmentStatus.RESOURCE_LIMITATION),
)
_STATUSES: tuple[tuple[type[Exception], StoreStatus], ...] = (
    (ArchiveFull, StoreStatus.OUT_OF_RESOURCES),
    (InstanceTooLarge, StoreStatus.OUT_OF_RESOURCES),
    (DatabaseBusy, StoreStatus.OUT_OF_RESOURCES),
    (ContextMismatch, StoreStatus.SOP_CLASS_NOT_SUPPORTED),
    (InstanceMismatch, StoreStatus.MISMATCH),
    (MalformedInstance, StoreStatus.CANNOT_UNDERSTAND),
    (InstanceConflict, StoreStatus.CONFLICT),
)


def status_of(error: Exception) -> StoreStatus:
    """Return the status that tells a sender of this error."""
    found = (status for kind, status in _STATUSES if isinstance(error, kind))
    return next(found, StoreStatus.PROCESSING_FAILURE)


def commitment_status_of(error: Exception) -> CommitmentStatus:
    """Return the status that tells a peer of this error in storage commitment."""
    found = (status for kind, status in _COMMITMENT_STATUSES if isinstance(error, kind))
    return next(found, CommitmentStatus.PROCESSING_FAILURE)
