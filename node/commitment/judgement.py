"""Judges what peers ask us to commit ourselves to: each file is read again, from its first byte to its last."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from node.archive import Archive
from node.archive.reread import FileState, state_of_file
from node.clock import Clock
from node.commitment.requests import tell
from node.database import (
    Commitment,
    CommitmentReference,
    Database,
    Event,
    EventName,
    Instance,
    Prepared,
    Series,
    Study,
    record_event,
)
from node.logs import log_failure
from node.states import CommitmentState

logger = logging.getLogger("radnode.commitment")

BATCH = 50  # instances judged between two commits

_FIRST_ASKED = Prepared(
    select(Commitment.id).where(Commitment.state == CommitmentState.ASKED).order_by(Commitment.id).limit(1)
)
_COMMITTED = 0
_NOTED_AS = {FileState.MISSING: EventName.FILE_MISSING}


class FailureReason(IntEnum):
    """Why we do not commit ourselves to keep an instance (PS3.3 C.14.1.1)."""

    PROCESSING_FAILURE = 0x0110  # its file is not what was received, or we hold it with other content too
    NO_SUCH_INSTANCE = 0x0112
    CLASS_CONFLICT = 0x0119  # we hold it as one of another SOP class


@dataclass(frozen=True)
class _Asked:
    """An instance that a request names."""

    key: int
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class _Held:
    """The row of an instance that we have: what it states of its file, and whose study it is in."""

    sop_class_uid: str
    path: str
    sha256: str
    study_id: int


class Judgement:
    """Judges one batch after another; each is one transaction, so a crash repeats at most one."""

    def __init__(self, database: Database, archive: Archive, clock: Clock) -> None:
        """Compare the files of `archive` with their rows in `database`."""
        self._database = database
        self._archive = archive
        self._clock = clock
        self._disputes = _Disputes()
        self._stopping = threading.Event()

    def judge_asked(self) -> int:
        """Judge what is asked, the request that came first first; return how many instances that were."""
        judged = 0
        while not self._stopping.is_set() and (count := self._judge_batch()) is not None:
            judged += count
        self._disputes.forget()
        return judged

    def stop(self) -> None:
        """Begin no other file; what was not judged is judged by the next start."""
        self._stopping.set()

    def _judge_batch(self) -> int | None:
        """Judge some instances of one request, and close it after the last; None where nothing is asked."""
        first = self._database.ask(_FIRST_ASKED)
        if not first:
            return None
        ((commitment_id,),) = first
        with self._database.reading() as session:
            batch = _unjudged(session, commitment_id)
        verdicts = {}
        for asked in batch:
            if self._stopping.is_set():
                break
            verdicts[asked.key] = self._judge(asked)
        with self._database.writing() as session:
            for key, verdict in verdicts.items():
                row = CommitmentReference.id == key
                session.execute(update(CommitmentReference).where(row).values(failure_reason=verdict))
            if not _unjudged(session, commitment_id):
                self._close(session, session.get_one(Commitment, commitment_id))
        return len(verdicts)

    def _close(self, session: Session, commitment: Commitment) -> None:
        commitment.move(CommitmentState.JUDGED)
        commitment.due_at = self._clock.now()
        rows = CommitmentReference.commitment_id == commitment.id
        failed = _count(session, rows, CommitmentReference.failure_reason != _COMMITTED)
        tell(
            session, self._clock, EventName.COMMITMENT_JUDGED, commitment,
            committed=_count(session, rows) - failed, failed=failed,
        )  # fmt: skip

    def _judge(self, asked: _Asked) -> int:
        try:
            return self._verdict(asked)
        except Exception as error:  # noqa: BLE001 - one instance must not keep a peer waiting for ever
            log_failure(logger, "instance not judged", error, sop_instance_uid=asked.sop_instance_uid)
            return FailureReason.PROCESSING_FAILURE

    def _verdict(self, asked: _Asked) -> int:
        held = self._held(asked.sop_instance_uid)
        if held is None:
            return FailureReason.NO_SUCH_INSTANCE
        if held.sop_class_uid != asked.sop_class_uid:
            return FailureReason.CLASS_CONFLICT
        if self._is_disputed(held, asked.sop_instance_uid):  # the peer may mean the content that we did not keep
            return FailureReason.PROCESSING_FAILURE
        found = state_of_file(lambda: self._archive.examine(held.path).sha256, held.sha256)
        if found is FileState.WHOLE:
            return _COMMITTED
        if self._held(asked.sop_instance_uid) is None:  # its study was removed meanwhile
            return FailureReason.NO_SUCH_INSTANCE
        self._note(held, found)
        return FailureReason.PROCESSING_FAILURE

    def _held(self, sop_instance_uid: str) -> _Held | None:
        """Return the row of an instance; what lies in quarantine has none."""
        with self._database.reading() as session:
            row = session.execute(
                select(Instance.sop_class_uid, Instance.path, Instance.sha256, Series.study_id)
                .join(Series)
                .where(Instance.sop_instance_uid == sop_instance_uid)
            ).first()
            return None if row is None else _Held(*row)

    def _is_disputed(self, held: _Held, sop_instance_uid: str) -> bool:
        """Tell whether an instance also came with other content, which lies in quarantine."""
        with self._database.reading() as session:
            return sop_instance_uid in self._disputes.of_study(session, held.study_id)

    def _note(self, held: _Held, found: FileState) -> None:
        """Record for a person that a file is not what was received."""
        name = _NOTED_AS.get(found, EventName.FILE_CHANGED)
        with self._database.writing() as session:
            study = session.get_one(Study, held.study_id)
            record_event(session, self._clock.now(), name, study, path=held.path)


class _Disputes:
    """Instances that came with two contents, by their studies; no event of a study is read twice."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[int, set[str]]] = {}

    def of_study(self, session: Session, study_id: int) -> set[str]:
        """Return the SOP Instance UIDs of which a study has a conflict on record."""
        last, uids = self._read.get(study_id, (0, set()))
        of_study = (Event.study_id == study_id, Event.id > last)
        newest = session.scalar(select(func.max(Event.id)).where(*of_study))
        if newest is not None:
            conflicts = select(Event.detail).where(*of_study, Event.name == str(EventName.INSTANCE_CONFLICT))
            uids.update(detail["sop_instance_uid"] for detail in session.scalars(conflicts))
            self._read[study_id] = newest, uids
        return uids

    def forget(self) -> None:
        """Keep nothing in memory while nothing is asked."""
        self._read.clear()


def _unjudged(session: Session, commitment_id: int) -> Sequence[_Asked]:
    rows = session.execute(
        select(CommitmentReference.id, CommitmentReference.sop_class_uid, CommitmentReference.sop_instance_uid)
        .where(CommitmentReference.commitment_id == commitment_id, CommitmentReference.failure_reason.is_(None))
        .order_by(CommitmentReference.id)
        .limit(BATCH)
    )
    return [_Asked(*row) for row in rows]


def _count(session: Session, *conditions: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(CommitmentReference.id)).where(*conditions)) or 0
