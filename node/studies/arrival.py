"""The usual arrival, a new instance of a series that is being received, in two statements and no objects.

Of a series of hundreds all but the first instance come this way. Loading and flushing objects for each took
longer than everything else between its last byte and its answer.
"""

from __future__ import annotations

from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.orm import Session

from node.clock import Clock
from node.database import Instance, Prepared, Result, Series, Study
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


def add_usual_instance(session: Session, clock: Clock, received: ReceivedInstance, association_id: int) -> int | None:
    """Add the row of an instance and return the key of its study, if there is nothing to decide about it.

    None, with nothing added, when the study or series is new, the study is past receiving or states another
    patient, or the instance is known or a result of ours.
    """
    session.flush()  # rows that objects of this transaction stand for
    connection = session.connection()
    arrival = {
        "study_uid": received.study_instance_uid,
        "stated_patient_id": received.study.patient_id,
        "instance_uid": received.sop_instance_uid,
        "boot_id": clock.boot_id,
        "seconds": clock.boot_seconds(),
    }
    study = _NOTE_ARRIVAL.run(connection, arrival).scalar()
    if study is None:
        return None
    row = {
        "study": study,
        "series_uid": received.series_instance_uid,
        "association_id": association_id,
        "sop_instance_uid": received.sop_instance_uid,
        "sop_class_uid": received.sop_class_uid,
        "transfer_syntax_uid": received.transfer_syntax_uid,
        "header": select_header(received.header),
        "sha256": received.sha256,
        "size": received.size,
        "path": received.path,
        "is_own_result": False,
        "received_at": clock.now(),
    }
    return None if _ADD_ROW.run(connection, row).scalar() is None else int(study)
