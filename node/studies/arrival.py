"""Usual arrivals, new instances of a series that is being received, in three statements each and no objects.

Of a series of hundreds all but the first instance come this way. Opening a session, and loading and flushing
objects for each, took longer than everything else between its last byte and its answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.dialects.sqlite import insert

from node.clock import Clock
from node.database import (
    EventName,
    GroupCommit,
    Instance,
    Prepared,
    Result,
    Series,
    Study,
    Transaction,
    record_study_event,
)
from node.states import StudyState
from node.studies.header import select_header
from node.vocabulary import ReceivedInstance

_NEW_ROW = [column.name for column in Instance.__table__.columns if column.name != "id"]

_NOTE_ARRIVAL = Prepared(
    update(Study)
    .where(
        Study.study_instance_uid == bindparam("study_uid"),
        Study.patient_id == bindparam("stated_patient_id"),
        Study.state == StudyState.RECEIVING,
        ~exists().where(Instance.sop_instance_uid == bindparam("instance_uid")),
        ~exists().where(Result.sop_instance_uid == bindparam("instance_uid")),
    )
    .values(last_instance_boot_id=bindparam("boot_id"), last_instance_seconds=bindparam("seconds"))
    .returning(Study.id)
)
_ADD_ROW = Prepared(
    insert(Instance)
    .from_select(
        _NEW_ROW,
        select(
            Series.id,
            *(bindparam(name, type_=Instance.__table__.columns[name].type) for name in _NEW_ROW if name != "series_id"),
        ).where(Series.study_id == bindparam("study"), Series.series_instance_uid == bindparam("series_uid")),
    )
    .returning(Instance.id)
)


class UsualArrivals:
    """Adds the rows of usual arrivals; those that wait at the same moment share one commit."""

    def __init__(self, commits: GroupCommit[Transaction], clock: Clock) -> None:
        """Add rows by these commits, which others may share."""
        self._commits = commits
        self._clock = clock

    def add(self, batch: Sequence[ReceivedInstance], association_id: int, *, is_flushed: bool) -> list[bool]:
        """Return which instances have their rows, all committed at once; the others need a decision.

        Their study or series is new, the study is past receiving or states another patient, or the instance is
        known or a result of ours. Raises DatabaseBusy, ArchiveFull.
        """
        return self._commits.run(partial(self._are_added, batch, association_id), is_flushed=is_flushed)

    def _are_added(
        self, batch: Sequence[ReceivedInstance], association_id: int, transaction: Transaction
    ) -> list[bool]:
        return [self._is_added(received, association_id, transaction) for received in batch]

    def _is_added(self, received: ReceivedInstance, association_id: int, transaction: Transaction) -> bool:
        now, uid = self._clock.now(), received.sop_instance_uid
        noted = {
            "study_uid": received.study_instance_uid,
            "stated_patient_id": received.study.patient_id,
            "instance_uid": uid,
            "boot_id": self._clock.boot_id,
            "seconds": self._clock.boot_seconds(),
        }
        studies = _NOTE_ARRIVAL.run(transaction, noted)
        if not studies:
            return False
        ((study_id,),) = studies
        row = {
            "study": study_id,
            "series_uid": received.series_instance_uid,
            "association_id": association_id,
            "sop_instance_uid": uid,
            "sop_class_uid": received.sop_class_uid,
            "transfer_syntax_uid": received.transfer_syntax_uid,
            "header": select_header(received.header),
            "sha256": received.sha256,
            "size": received.size,
            "path": received.path,
            "is_own_result": False,
            "received_at": now,
        }
        if not _ADD_ROW.run(transaction, row):
            return False
        record_study_event(transaction, now, EventName.INSTANCE_KEPT, study_id, sop_instance_uid=uid)
        return True
