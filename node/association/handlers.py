"""What an association does to the archive and the index; success means that nothing can take the instance any more."""

from __future__ import annotations

import logging
from typing import NamedTuple

from node.archive import Archive, OutlineReader
from node.association.allowlist import Caller, Rejection
from node.association.commitment import CommitmentService, IncomingInformation
from node.association.incoming import IncomingInstance
from node.association.negotiation import AnsweredContext
from node.association.quota import Quota
from node.association.statuses import Answer, StoreStatus, commitment_status_of, status_of
from node.errors import ArchiveError, ArchiveFull, AssociationBroken, CommitmentError, DatabaseBusy
from node.logs import log_failure
from node.studies.index import InstanceIndex
from node.studies.intake import Admissions, Intake
from node.upper_layer.command import Request

logger = logging.getLogger("radnode.association")

RECORDED_PER_MINUTE = 100
REFUSALS_LOGGED_PER_MINUTE = 600
_LONGEST_COMMENT = 64  # ErrorComment is an LO (PS3.7 C.4.2)


class Guest(NamedTuple):
    """Who speaks within an association: the association's key, and the AE title that its peer gave."""

    association_id: int
    calling_ae_title: str


class Handlers:
    """What the node does about each event of an association; nothing is raised but by a fault of ours."""

    def __init__(
        self, archive: Archive, index: InstanceIndex, largest_instance_bytes: int, commitment: CommitmentService
    ) -> None:
        """Keep instances in `archive` and record them in `index`; `commitment` takes requests and reports of it."""
        self._archive = archive
        self._index = index
        self._admissions = Admissions(archive, index)
        self._largest_instance_bytes = largest_instance_bytes
        self._commitment = commitment
        self._rejections = Quota(RECORDED_PER_MINUTE)
        self._aborts = Quota(RECORDED_PER_MINUTE)
        self._refusals = Quota(REFUSALS_LOGGED_PER_MINUTE)

    def open_association(self, caller: Caller) -> int | None:
        """Record a new association and return its key, or None for one that cannot be recorded."""
        try:
            return self._index.open_association(caller.calling_ae_title, caller.address, caller.called_ae_title)
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "association not recorded", error)
            return None

    def close_association(self, association_id: int, how: str) -> None:
        """Record how an association ended: "released", "aborted" (by either side) or "connection lost"."""
        try:
            self._index.close_association(association_id, how)
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "end of association not recorded", error, association=association_id)

    def record_rejection(self, caller: Caller, rejection: Rejection) -> None:
        """Record and log a caller that was sent away; of a flood, how many there were."""
        left_out = self._rejections.take()
        if left_out is None:
            return
        how = f"rejected: {rejection.text}" + (f" ({left_out} more before)" if left_out else "")
        try:
            self._index.record_rejection(caller.calling_ae_title, caller.address, caller.called_ae_title, how)
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            fields = {"calling_ae_title": caller.calling_ae_title, "address": caller.address, "how": how}
            log_failure(logger, "rejection not recorded", error, **fields)

    def settle_late(self) -> None:
        """Make the rows that have waited for long, or could not be made; to be called every so often."""
        self._admissions.settle_late()

    def note_abort(self, association_id: int, error: AssociationBroken) -> None:
        """Log why we abort an association."""
        self._warn(self._aborts, "association aborted", association_id, error)

    def begin_store(self, request: Request, context: AnsweredContext, outlines: OutlineReader) -> IncomingInstance:
        """Return what takes the data set of a C-STORE request; `outlines` is the association's own."""
        incoming = IncomingInstance(self._archive, self._largest_instance_bytes, outlines)
        incoming.open(request, context)
        return incoming

    def open_intake(self, association_id: int) -> Intake:
        """Return what takes the instances of an association; it is to be closed before the association ends."""
        return self._admissions.open(association_id)

    def finish_store(self, incoming: IncomingInstance, intake: Intake, association_id: int) -> Answer:
        """Answer C-STORE (PS3.7 9.1.1); a failure says in ErrorComment what the sender can mend."""
        try:
            intake.take(incoming.claim())
        except (ArchiveError, DatabaseBusy) as error:
            self._warn(self._refusals, "instance refused", association_id, error)
            return Answer(status_of(error), _comment(str(error)))
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "instance not kept", error, association=association_id)
            return Answer(status_of(error), "the node failed; see its log")
        return Answer(StoreStatus.SUCCESS)

    def finish_commitment(
        self, request: Request, context: AnsweredContext, incoming: IncomingInformation, guest: Guest
    ) -> Answer:
        """Answer an N-ACTION or N-EVENT-REPORT (PS3.7 10.1.1, 10.1.4), whose data set has come."""
        try:
            self._admissions.settle()  # a peer may ask about what another association has just brought
            return self._commitment.take(request, context, incoming, guest.calling_ae_title)
        except (CommitmentError, ArchiveFull, DatabaseBusy) as error:
            self._warn(self._refusals, "commitment refused", guest.association_id, error)
            return Answer(commitment_status_of(error), _comment(str(error)))
        except Exception as error:  # noqa: BLE001 - an event handler answers, whatever happens
            log_failure(logger, "commitment not recorded", error, association=guest.association_id)
            return Answer(commitment_status_of(error), "the node failed; see its log")

    def _warn(self, quota: Quota, event: str, association_id: int, error: Exception) -> None:
        left_out = quota.take()
        if left_out is not None:
            more = {"left_out": left_out} if left_out else {}
            fields = {"association": association_id, "reason": str(error), **more}
            logger.warning(event, extra={"fields": fields})


def _comment(text: str) -> str:
    """Return as much of the text as an LO holds (PS3.5 6.2)."""
    return "".join(c if c.isprintable() and c.isascii() and c != "\\" else " " for c in text)[:_LONGEST_COMMENT]
