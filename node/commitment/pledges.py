"""Pledges: what peers report on objects that we asked them to commit to (PS3.4 J.3.3), and what follows from it."""

from __future__ import annotations

import logging
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from node.clock import Clock, doubled_seconds
from node.database import (
    Database,
    Delivery,
    EventName,
    Pledge,
    PledgedObject,
    record_event,
)
from node.errors import ReportByAnother, UnknownTransaction
from node.jobs.progress import derive_progress
from node.settings import DeliverySection
from node.states import DeliveryState
from node.vocabulary import CommitmentReport, InstanceReference

logger = logging.getLogger("radnode.commitment")

# PS3.3 C.14.1.1: what a Failure Reason (0008,1197) means.
_REASONS = {
    0x0110: "processing failure",
    0x0112: "no such object instance",
    0x0119: "class and instance conflict",
    0x0122: "SOP class not supported",
    0x0131: "duplicate transaction UID",
    0x0213: "resource limitation",
}
_NOT_REPORTED = "missing from its report"


class Pledges:
    """Takes what a peer says of a transaction, in one transaction of ours."""

    def __init__(self, database: Database, limits: DeliverySection, clock: Clock) -> None:
        """Have an object that a peer does not keep sent again, as often as `limits.commitment_attempts` allows."""
        self._database = database
        self._limits = limits
        self._clock = clock

    def take_report(self, calling_ae_title: str, report: CommitmentReport) -> None:
        """Note of each object asked about whether it is committed; a report that comes again changes nothing.

        What the report leaves out counts as not committed. An object that was sent again since is left as it is,
        for the report is not about that. Raises UnknownTransaction, and ReportByAnother when it does not come
        from the peer that was asked; nothing is changed then.
        """
        with self._database.writing() as session:
            pledge = _find(session, calling_ae_title, report)
            if pledge.reported_at is not None:
                _log("report repeated", calling_ae_title, report)
                return
            pledge.reported_at = self._clock.now()
            for asked in pledge.objects:
                self._settle(session, asked, report)
            _log_unasked(pledge, calling_ae_title, report)

    def _settle(self, session: Session, asked: PledgedObject, report: CommitmentReport) -> None:
        """Let one object be where the report puts it; one reported as both is not committed."""
        delivery, reference = asked.delivery, reference_to(asked.delivery)
        if delivery.state != DeliveryState.SENT or delivery.sent_at != asked.sent_at:
            return
        delivery.commitment_due_at = None
        if reference in report.failed:
            self._deny(session, delivery, _describe(report.failed[reference]))
        elif reference in report.committed:
            self._commit(session, delivery)
        else:
            self._deny(session, delivery, _NOT_REPORTED)

    def _commit(self, session: Session, delivery: Delivery) -> None:
        delivery.move(DeliveryState.COMMITTED)
        delivery.committed_at = self._clock.now()
        delivery.answer = "committed"
        record_event(
            session, self._clock.now(), EventName.DELIVERY_COMMITTED, delivery, destination=delivery.destination
        )

    def _deny(self, session: Session, delivery: Delivery, reason: str) -> None:
        """Have an object sent again that its peer does not keep, or give up; what left our disk cannot be sent."""
        delivery.denials += 1
        delivery.answer = f"not committed: {reason}"
        detail = {"destination": delivery.destination, "denial": delivery.denials}
        record_event(
            session, self._clock.now(), EventName.DELIVERY_NOT_COMMITTED, delivery, **detail, failure_reason=reason
        )
        if delivery.denials >= self._limits.commitment_attempts or not delivery.result.path:
            delivery.move(DeliveryState.DEAD)
            record_event(session, self._clock.now(), EventName.DELIVERY_DEAD, delivery, **detail)
        else:
            delivery.move(DeliveryState.RETRYING)
            delivery.due_at = self._clock.now() + timedelta(seconds=self._pause_seconds(delivery.denials))
        derive_progress(session, delivery.result.job.study)

    def _pause_seconds(self, denials: int) -> float:
        """Return how long to wait before an object is sent again: longer with each denial."""
        return doubled_seconds(self._limits.first_retry_seconds, denials, self._limits.longest_retry_seconds)


def reference_to(delivery: Delivery) -> InstanceReference:
    """Name the object of a delivery as it is named to a peer."""
    return InstanceReference(delivery.result.sop_class_uid, delivery.result.sop_instance_uid)


def _find(session: Session, calling_ae_title: str, report: CommitmentReport) -> Pledge:
    """Return the transaction that a peer reports on."""
    uid = report.transaction_uid
    pledge = session.scalar(select(Pledge).where(Pledge.transaction_uid == uid))
    if pledge is None:
        raise UnknownTransaction(f"transaction {uid} reported by {calling_ae_title}: we asked for none of this UID")
    if pledge.ae_title != calling_ae_title:
        raise ReportByAnother(
            f"transaction {uid} reported by {calling_ae_title}: {pledge.ae_title} was asked; if these are one "
            "application, let it report as what it is called"
        )
    return pledge


def _describe(failure_reason: int) -> str:
    """Return a Failure Reason as its number and its meaning."""
    return f"{failure_reason:04X} {_REASONS.get(failure_reason, '')}".strip()


def _log_unasked(pledge: Pledge, calling_ae_title: str, report: CommitmentReport) -> None:
    asked = {reference_to(each.delivery) for each in pledge.objects}
    unasked = {*report.committed, *report.failed} - asked
    if unasked:
        _log("report on what was not asked", calling_ae_title, report, instances=len(unasked))


def _log(what: str, calling_ae_title: str, report: CommitmentReport, **counts: int) -> None:
    fields = {"peer": calling_ae_title, "transaction": report.transaction_uid, **counts}
    logger.warning(what, extra={"fields": fields})
