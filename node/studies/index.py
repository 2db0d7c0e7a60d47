"""The index row of every instance, and what its arrival means for its study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial

from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import (
    Association,
    Database,
    EventName,
    GroupCommit,
    Instance,
    Prepared,
    Result,
    Series,
    Study,
    record_event,
)
from node.errors import InstanceConflict
from node.jobs.progress import hold_study
from node.states import StudyState
from node.studies.arrival import UsualArrivals
from node.studies.association_rows import Call, add_open, add_rejected, end_all, end_every_open
from node.studies.header import select_header, stated_text
from node.vocabulary import Admission, ReceivedInstance

_IS_KNOWN = Prepared(
    select(
        exists().where(Instance.sop_instance_uid == bindparam("uid"))
        | exists().where(Result.sop_instance_uid == bindparam("uid"))
    )
)


class InstanceIndex:
    """Records associations and the instances they bring; each call is one durable transaction."""

    def __init__(self, database: Database, clock: Clock, *, flushes_instances: bool = True) -> None:
        """Use `database` for the rows and `clock` for their times.

        The rows of instances need no flush of their own where a journal could make them again.
        """
        database.prepare_adding()
        self._database = database
        self._flushes_instances = flushes_instances
        self._commits = GroupCommit(database.writing)
        self._additions = GroupCommit(database.adding)
        self._usual = UsualArrivals(self._additions, clock)
        self._unflushed: set[int] = set()
        self._ends: dict[int, str] = {}
        self._clock = clock

    def open_association(self, calling_ae_title: str, calling_address: str, called_ae_title: str) -> int:
        """Record a new association and return its row's key.

        The row may be lost with the power until the first instance is recorded that the association brings.
        """
        call = Call(calling_ae_title, calling_address, called_ae_title)
        key = self._additions.run(partial(add_open, call, self._clock), is_flushed=False)
        self._unflushed.add(key)
        return key

    def record_rejection(
        self, calling_ae_title: str, calling_address: str, called_ae_title: str, how: str
    ) -> None:
        """Record an association that never was: a caller that was sent away, and `how`, as one event."""
        call = Call(calling_ae_title, calling_address, called_ae_title)
        self._additions.run(partial(add_rejected, call, how, self._clock))

    def close_association(self, association_id: int, how: str) -> None:
        """Record how an association ended; closing twice changes nothing.

        When it cannot be recorded now, `record_ends` does it later: an open association keeps its study waiting.
        An end that is lost with the power is found by the next start.
        """
        self._unflushed.discard(association_id)
        self._ends.setdefault(association_id, how)
        self.record_ends()

    def record_ends(self) -> None:
        """Record how associations ended, those too for which that failed before; to be called every so often."""
        ends = dict(self._ends)
        if not ends:
            return
        self._additions.run(partial(end_all, ends, self._clock), is_flushed=False)
        for association_id in ends:
            self._ends.pop(association_id, None)

    def close_stale_associations(self) -> int:
        """Close what an earlier run of the node left open; return how many there were."""
        return self._additions.run(partial(end_every_open, "node stopped", self._clock))

    def record(self, received: ReceivedInstance, association_id: int) -> Admission:
        """Commit the row of an instance that is already durable on disk.

        Raises InstanceConflict when its SOP Instance UID is known with other content; the conflict
        is recorded, the first instance stays. The same instance in another transfer syntax is a
        repeat, not a conflict. A new instance of a study that was complete opens it again.
        """
        if self.record_usual([received], association_id) == [True]:
            return Admission.NEW
        admit = partial(self._admit, received, association_id)
        admission, first_sha256 = self._commits.run(admit, is_flushed=self._is_flushed(association_id))
        self._unflushed.discard(association_id)
        if admission is None:
            raise InstanceConflict(
                f"instance {received.sop_instance_uid}: found content {received.sha256[:12]}…, expected "
                f"{first_sha256[:12]}… as first received; the first is kept, the second quarantined"
            )
        return admission

    def record_usual(self, batch: Sequence[ReceivedInstance], association_id: int) -> list[bool]:
        """Commit the rows of those instances about which there is nothing to decide, and tell which they are.

        All are of one association. `record` decides about the others. Raises DatabaseBusy, ArchiveFull.
        """
        added = self._usual.add(batch, association_id, is_flushed=self._is_flushed(association_id))
        if any(added):
            self._unflushed.discard(association_id)
        return added

    def may_follow(self, sop_instance_uid: str, association_id: int) -> bool:
        """Tell whether the row of an instance may follow its answer.

        There is nothing to decide about the answer, for neither an instance nor a result of ours is known by this
        UID, and the association, which a row made from the journal names, can be lost no more.
        """
        if association_id in self._unflushed:
            return False
        ((is_known,),) = self._database.ask(_IS_KNOWN, uid=sop_instance_uid)
        return not is_known

    def refers_to(self, path: str) -> bool:
        """Tell whether an instance in the index lies at this path of the archive."""
        with self._database.reading() as session:
            return session.scalar(select(Instance.id).where(Instance.path == path)) is not None

    def known_associations(self, keys: Iterable[int]) -> frozenset[int]:
        """Return which of these keys are those of associations."""
        with self._database.reading() as session:
            return frozenset(session.scalars(select(Association.id).where(Association.id.in_(set(keys)))))

    def _is_flushed(self, association_id: int) -> bool:
        return self._flushes_instances or association_id in self._unflushed

    def _admit(
        self, received: ReceivedInstance, association_id: int, session: Session
    ) -> tuple[Admission | None, str]:
        """Return how an instance is admitted (None: not, it contradicts the first) and the first one's SHA-256."""
        association = session.get_one(Association, association_id)
        known = session.scalar(
            select(Instance).where(Instance.sop_instance_uid == received.sop_instance_uid)
        )
        if known is None:
            return self._add(session, received, association), received.sha256
        admission = _repeat_of(known, received)
        name = EventName.INSTANCE_CONFLICT if admission is None else EventName.INSTANCE_REPEATED
        self._event(session, name, known.series.study, sop_instance_uid=received.sop_instance_uid)
        if admission is not None and not known.association.calling_ae_title:
            known.association = association  # it was found on disk; this is who sends it
        return admission, known.sha256

    def _add(self, session: Session, received: ReceivedInstance, association: Association) -> Admission:
        is_own = _is_own_result(session, received)
        study = self._study(session, received)
        session.add(
            Instance(
                series=_series(session, study, received),
                association=association,
                sop_instance_uid=received.sop_instance_uid,
                sop_class_uid=received.sop_class_uid,
                transfer_syntax_uid=received.transfer_syntax_uid,
                header=select_header(received.header),
                sha256=received.sha256,
                size=received.size,
                path=received.path,
                is_own_result=is_own,
                received_at=self._clock.now(),
            )
        )
        name = EventName.RESULT_RETURNED if is_own else EventName.INSTANCE_KEPT
        self._event(session, name, study, sop_instance_uid=received.sop_instance_uid)
        if is_own:
            return Admission.OWN_RESULT
        self._reopen(session, study, received)
        return Admission.NEW

    def _study(self, session: Session, received: ReceivedInstance) -> Study:
        """Return the study's row, made from this instance's identity when it is the first."""
        study = session.scalar(
            select(Study).where(Study.study_instance_uid == received.study_instance_uid)
        )
        if study is None:
            study = Study(
                state=StudyState.RECEIVING,
                description=stated_text(received.header, "StudyDescription"),
                received_at=self._clock.now(),
                last_instance_boot_id=self._clock.boot_id,
                last_instance_seconds=self._clock.boot_seconds(),
                **vars(received.study),
            )
            session.add(study)
            session.flush()
        return study

    def _reopen(self, session: Session, study: Study, received: ReceivedInstance) -> None:
        """Note the arrival: a study that states two patients is held, a complete one gathers again.

        A held one gathers when it is released; one that a person cancelled stays cancelled.
        """
        study.last_instance_boot_id = self._clock.boot_id
        study.last_instance_seconds = self._clock.boot_seconds()
        if received.study.patient_id != study.patient_id:
            reason = "its instances state more than one PatientID; nothing is analysed or sent"
            hold_study(session, self._clock, study, reason)
        if study.state == StudyState.HELD:
            study.held_from = str(StudyState.RECEIVING)
        elif study.state not in {StudyState.RECEIVING, StudyState.CANCELLED}:
            study.move(StudyState.RECEIVING)

    def _event(self, session: Session, name: EventName, study: Study, **detail: str) -> None:
        now: datetime = self._clock.now()
        record_event(session, now, name, study, **detail)


def _repeat_of(known: Instance, received: ReceivedInstance) -> Admission | None:
    """Return how an instance whose UID is known is admitted, or None when it contradicts the first."""
    if known.is_own_result:
        return Admission.OWN_RESULT
    is_recoded = known.transfer_syntax_uid != received.transfer_syntax_uid
    return Admission.DUPLICATE if is_recoded or known.sha256 == received.sha256 else None


def _is_own_result(session: Session, received: ReceivedInstance) -> bool:
    found = session.scalar(
        select(Result.id).where(Result.sop_instance_uid == received.sop_instance_uid)
    )
    return found is not None


def _series(session: Session, study: Study, received: ReceivedInstance) -> Series:
    series = session.scalar(
        select(Series).where(
            Series.study_id == study.id, Series.series_instance_uid == received.series_instance_uid
        )
    )
    return series or Series(
        study=study,
        series_instance_uid=received.series_instance_uid,
        modality=stated_text(received.header, "Modality"),
        description=stated_text(received.header, "SeriesDescription"),
    )
