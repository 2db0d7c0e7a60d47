"""Which events belong into the audit trail, and the audit messages of each."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from node.audit.message import (
    APPLICATION,
    DESTINATION,
    SOURCE,
    Action,
    AuditMessage,
    Code,
    Outcome,
    Participant,
    StudyObject,
)
from node.database import Association, Delivery, Event, EventName, Instance, Series, Study
from node.settings import Settings

# PS3.15 A.5.3: what happened, by the codes of DCM.
ACTIVITY = Code("110100", "Application Activity")
STARTED = Code("110120", "Application Start")
STOPPED = Code("110121", "Application Stop")
ACCESSED = Code("110103", "DICOM Instances Accessed")
TRANSFERRED = Code("110104", "DICOM Instances Transferred")
STUDY_DELETED = Code("110105", "DICOM Study Deleted")
ALERT = Code("110113", "Security Alert")
NODE_AUTHENTICATION = Code("110126", "Node Authentication")


def audit_messages(session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    """Yield the audit messages of an event; most events, being steps of our own work, have none."""
    tell = _TELLERS.get(event.name)
    if tell is not None:
        yield from tell(session, event, settings)


def _tell_activity(_session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    kind = STARTED if event.name == EventName.NODE_STARTED else STOPPED
    us = Participant(settings.node.ae_title, is_requestor=False, role=APPLICATION)
    yield AuditMessage(event.at, ACTIVITY, Action.EXECUTE, Outcome.SUCCESS, (us,), kind=kind)


def _tell_rejection(session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    """Tell that a caller was sent away."""
    association = session.get_one(Association, event.association_id)
    caller = Participant(association.calling_ae_title, is_requestor=True, address=association.calling_address)
    us = Participant(settings.node.ae_title, is_requestor=False)
    yield AuditMessage(
        event.at, ALERT, Action.EXECUTE, Outcome.MINOR_FAILURE, (caller, us), NODE_AUTHENTICATION,
        association.closed_how,
    )  # fmt: skip


def _tell_association(session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    """Tell what an association brought, one message for each study."""
    association = session.get_one(Association, event.association_id)
    sender = Participant(association.calling_ae_title, True, SOURCE, association.calling_address)
    us = Participant(settings.node.ae_title, False, DESTINATION)
    for study, classes in _received(session, association).items():
        yield AuditMessage(
            event.at, TRANSFERRED, Action.CREATE, Outcome.SUCCESS, (sender, us), study=_object(study, classes)
        )


def _received(session: Session, association: Association) -> Mapping[Study, Counter[str]]:
    """Return the studies of which an association brought new instances, and how many of each SOP class."""
    query = (
        select(Study, Instance.sop_class_uid, func.count())
        .join(Series, Series.study_id == Study.id)
        .join(Instance, Instance.series_id == Series.id)
        .where(Instance.association_id == association.id)
        .group_by(Study.id, Instance.sop_class_uid)
    )
    found: defaultdict[Study, Counter[str]] = defaultdict(Counter)
    for study, sop_class_uid, count in session.execute(query):
        found[study][sop_class_uid] = count
    return found


def _tell_delivery(session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    delivery = session.get_one(Delivery, event.delivery_id)
    name = settings.peer_name(delivery.destination)
    peer = settings.peers.get(name)
    us = Participant(settings.node.ae_title, True, SOURCE)
    them = Participant(peer.ae_title if peer else name, False, DESTINATION, peer.host if peer else "")
    is_sent = event.name == EventName.DELIVERY_SENT
    yield AuditMessage(
        event.at,
        TRANSFERRED,
        Action.CREATE,
        Outcome.SUCCESS if is_sent else Outcome.MINOR_FAILURE,
        (us, them),
        text="" if is_sent else "not delivered",
        study=_object(delivery.result.job.study, Counter([delivery.result.sop_class_uid])),
    )


def _tell_study(session: Session, event: Event, settings: Settings) -> Iterator[AuditMessage]:
    """Tell what was decided about a study: by a person where the event names one, else by the node."""
    study = session.get_one(Study, event.study_id)
    is_removal = event.name == EventName.STUDY_REMOVED
    person = str(event.detail.get("by", ""))
    us = Participant(settings.node.ae_title, is_requestor=not person, role=APPLICATION)
    who = (Participant(person, is_requestor=True), us) if person else (us,)
    yield AuditMessage(
        event.at,
        STUDY_DELETED if is_removal else ACCESSED,
        Action.DELETE if is_removal else Action.UPDATE,
        Outcome.SUCCESS,
        who,
        text=event.name,
        study=_object(study, Counter()),
    )


def _object(study: Study, classes: Counter[str]) -> StudyObject:
    return StudyObject(
        study_instance_uid=study.study_instance_uid,
        patient_id=study.patient_id,
        patient_name=study.patient_name,
        accession_number=study.accession_number,
        sop_classes=sorted(classes.items()),
    )


_TELLERS: Mapping[str, Callable[[Session, Event, Settings], Iterator[AuditMessage]]] = {
    EventName.NODE_STARTED: _tell_activity,
    EventName.NODE_STOPPED: _tell_activity,
    EventName.ASSOCIATION_CLOSED: _tell_association,
    EventName.ASSOCIATION_REJECTED: _tell_rejection,
    EventName.DELIVERY_SENT: _tell_delivery,
    EventName.DELIVERY_DEAD: _tell_delivery,
    EventName.STUDY_HELD: _tell_study,
    EventName.STUDY_RELEASED: _tell_study,
    EventName.STUDY_CANCELLED: _tell_study,
    EventName.STUDY_RETRIED: _tell_study,
    EventName.STUDY_REMOVED: _tell_study,
}
