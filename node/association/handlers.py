"""Answers C-ECHO and C-STORE; success means that the instance is on disk and in the index."""

from __future__ import annotations

import logging
from typing import Protocol

from pydicom.dataset import Dataset
from pynetdicom import evt
from pynetdicom.dimse_primitives import C_STORE

from node.archive import Archive
from node.association.allowlist import Caller, Rejection
from node.association.doorkeeper import RejectionQuota
from node.association.reception import Binding, ReceivingAssociation
from node.association.statuses import StoreStatus, status_of
from node.errors import ArchiveError, DatabaseBusy
from node.logs import log_failure
from node.studies.admission import admit_instance
from node.studies.index import InstanceIndex
from node.vocabulary import Admission

logger = logging.getLogger("radnode.association")

_LONGEST_COMMENT = 64  # ErrorComment is an LO (PS3.7 C.4.2)


class ReceptionEvent(Protocol):
    """What pynetdicom hands to a handler, as far as it is used here; `request` is C-STORE's alone."""

    assoc: ReceivingAssociation
    request: C_STORE


class Handlers:
    """What the node does about each event of an association."""

    def __init__(self, archive: Archive, index: InstanceIndex) -> None:
        """Keep instances in `archive` and record them in `index`."""
        self._archive = archive
        self._index = index
        self._quota = RejectionQuota()

    @property
    def bindings(self) -> tuple[Binding, ...]:
        """Return which handler belongs to which event."""
        return (
            (evt.EVT_ESTABLISHED, self.open_association),
            (evt.EVT_C_ECHO, self.handle_echo),
            (evt.EVT_C_STORE, self.handle_store),
        )

    def open_association(self, event: ReceptionEvent) -> None:
        """Record a new association; one that cannot be recorded is aborted."""
        association = event.assoc
        peer = association.requestor
        called = peer.primitive.called_ae_title if peer.primitive else ""
        try:
            association.association_id = self._index.open_association(
                peer.ae_title.strip(), peer.address or "", called.strip()
            )
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "association not recorded", error)
            association.abort()

    def close_association(self, association: ReceivingAssociation) -> None:
        """Record how an association ended."""
        if association.association_id is None:
            return
        try:
            self._index.close_association(association.association_id, association.ending)
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "end of association not recorded", error, association=association.association_id)

    def record_rejection(self, caller: Caller, rejection: Rejection) -> None:
        """Record and log a caller that was sent away; of a flood, how many there were."""
        left_out = self._quota.take()
        if left_out is None:
            return
        how = f"rejected: {rejection.text}" + (f" ({left_out} more before)" if left_out else "")
        fields = {"calling_ae_title": caller.calling_ae_title, "address": caller.address, "how": how}
        logger.warning("association rejected", extra={"fields": fields})
        try:
            row = self._index.open_association(caller.calling_ae_title, caller.address, caller.called_ae_title)
            self._index.close_association(row, how)
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "rejection not recorded", error)

    def handle_echo(self, _event: ReceptionEvent) -> int:
        """Answer C-ECHO (PS3.7 9.1.5)."""
        return StoreStatus.SUCCESS

    def handle_store(self, event: ReceptionEvent) -> Dataset:
        """Answer C-STORE (PS3.7 9.1.1); a failure says in ErrorComment what the sender can mend."""
        try:
            self._store(event)
        except (ArchiveError, DatabaseBusy) as error:
            fields = {"association": event.assoc.association_id, "reason": str(error)}
            logger.warning("instance refused", extra={"fields": fields})
            return _answer(status_of(error), str(error))
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "instance not kept", error, association=event.assoc.association_id)
            return _answer(status_of(error), "the node failed; see its log")
        return _answer(StoreStatus.SUCCESS)

    def _store(self, event: ReceptionEvent) -> Admission:
        """Keep what was sent, then record it; only then is it ours."""
        received = self._archive.finish(event.assoc.dimse.claim(event.request.DataSet))
        assert event.assoc.association_id is not None
        try:
            return admit_instance(self._archive, self._index, received, event.assoc.association_id)
        finally:
            self._archive.settle(received)


def _answer(status: StoreStatus, comment: str = "") -> Dataset:
    answer = Dataset()
    answer.Status = int(status)
    if comment:
        answer.ErrorComment = "".join(c if c.isprintable() and c.isascii() and c != "\\" else " " for c in comment)[
            :_LONGEST_COMMENT
        ]
    return answer
