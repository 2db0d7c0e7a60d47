"""Admission: the row of an instance on disk, and what becomes of its file when another came first."""

from __future__ import annotations

from node.archive import Archive
from node.errors import InstanceConflict
from node.studies.index import InstanceIndex
from node.vocabulary import Admission, ReceivedInstance


def admit_instance(
    archive: Archive, index: InstanceIndex, received: ReceivedInstance, association_id: int
) -> Admission:
    """Record an instance that is durable on disk; return once its row is.

    Of the same instance in other bytes the first ones are kept. Raises InstanceConflict when it contradicts
    the first; it is in quarantine then.
    """
    try:
        admission = index.record(received, association_id)
    except InstanceConflict:
        archive.quarantine(received)
        raise
    if admission is not Admission.NEW and not index.refers_to(received.path):
        archive.discard(received)
    return admission
