"""The answers to C-STORE, and which failure gets which."""

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
    MalformedInstance,
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


class Answer(NamedTuple):
    """What a response says: a status and, for a failure, an Error Comment."""

    status: StoreStatus
    comment: str = ""


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
