"""One table per thing the data path makes, from the association to the delivery."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Dialect, Enum, ForeignKey, Index, MetaData, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from node.states import CommitmentState, DeliveryState, JobState, StudyState, check_move
from node.vocabulary import StudyIdentity


class UtcDateTime(TypeDecorator[datetime]):
    """A time in UTC; SQLite stores no zone, so it is put back on reading."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Store the UTC time without its zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, _dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return None if value is None else value.replace(tzinfo=UTC)


def _state_column(states: type[StrEnum]) -> Enum:
    """Store a state as its word, and read it back as its member."""
    return Enum(states, native_enum=False, length=16, values_callable=lambda s: [str(x) for x in s])


class Table(DeclarativeBase):
    """The base of every table; constraint names are fixed so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime,
        StudyState: _state_column(StudyState),
        JobState: _state_column(JobState),
        DeliveryState: _state_column(DeliveryState),
        CommitmentState: _state_column(CommitmentState),
        list[str]: JSON,
        list[float]: JSON,
        dict[str, Any]: JSON,
    }


class Association(Table):
    """One negotiated DICOM link from a peer; `closed_at` is empty while it is open."""

    __tablename__ = "associations"

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str]
    calling_address: Mapped[str]
    called_ae_title: Mapped[str]
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_how: Mapped[str] = mapped_column(default="")


class Study(Table):
    """A study with the identity its first instance stated; `revision` counts its completions."""

    __tablename__ = "studies"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_instance_uid: Mapped[str] = mapped_column(unique=True)
    state: Mapped[StudyState] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(default="")
    held_from: Mapped[str] = mapped_column(default="")
    revision: Mapped[int] = mapped_column(default=0)
    patient_id: Mapped[str]
    patient_name: Mapped[str]
    patient_birth_date: Mapped[str]
    patient_sex: Mapped[str]
    study_id: Mapped[str]
    study_date: Mapped[str]
    accession_number: Mapped[str]
    description: Mapped[str]
    received_at: Mapped[datetime]
    last_instance_boot_id: Mapped[str]
    last_instance_seconds: Mapped[float]

    series: Mapped[list[Series]] = relationship(back_populates="study", order_by="Series.id")
    jobs: Mapped[list[Job]] = relationship(back_populates="study", order_by="Job.id")
    decisions: Mapped[list[Decision]] = relationship(back_populates="study", order_by="Decision.id")

    @property
    def identity(self) -> StudyIdentity:
        """Return whose study it is, as its first instance stated it."""
        return StudyIdentity(**{field.name: getattr(self, field.name) for field in fields(StudyIdentity)})

    def move(self, new: StudyState) -> None:
        """Go to another state; raises IllegalMove if `states.py` does not allow it."""
        check_move(self.state, new)
        self.state = new


class Series(Table):
    """A series of a study, as its first instance described it."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    series_instance_uid: Mapped[str]
    modality: Mapped[str]
    description: Mapped[str]

    study: Mapped[Study] = relationship(back_populates="series")
    instances: Mapped[list[Instance]] = relationship(back_populates="series", order_by="Instance.id")


class Instance(Table):
    """One instance on disk; `sha256` is over its data set as received, without file meta.

    `header` holds, by DICOM keyword, what rules and completion look at.
    """

    __tablename__ = "instances"

    id: Mapped[int] = mapped_column(primary_key=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"), index=True)
    association_id: Mapped[int] = mapped_column(ForeignKey("associations.id"), index=True)
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    sop_class_uid: Mapped[str]
    transfer_syntax_uid: Mapped[str]
    header: Mapped[dict[str, Any]]
    sha256: Mapped[str]
    size: Mapped[int]
    path: Mapped[str] = mapped_column(index=True)
    is_own_result: Mapped[bool]
    received_at: Mapped[datetime]

    series: Mapped[Series] = relationship(back_populates="instances")
    association: Mapped[Association] = relationship()


class Decision(Table):
    """Why a rule did or did not choose the like instances of a series, at one revision."""

    __tablename__ = "decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"), index=True)
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    revision: Mapped[int]
    rule: Mapped[str]
    instance_count: Mapped[int]
    is_match: Mapped[bool]
    reasons: Mapped[list[str]]
    decided_at: Mapped[datetime]

    study: Mapped[Study] = relationship(back_populates="decisions")
    series: Mapped[Series] = relationship()


class JobInput(Table):
    """One instance that a job reads, and the input of its model that it belongs to."""

    __tablename__ = "job_inputs"
    __table_args__ = (UniqueConstraint("job_id", "instance_id", "role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"))
    instance_id: Mapped[int] = mapped_column(ForeignKey("instances.id"), index=True)
    role: Mapped[str]

    job: Mapped[Job] = relationship(back_populates="inputs")
    instance: Mapped[Instance] = relationship()


class Sender(Table):
    """A peer that sends studies, and how much of the workers' time its jobs have had so far."""

    __tablename__ = "senders"

    ae_title: Mapped[str] = mapped_column(primary_key=True)
    virtual_time: Mapped[float] = mapped_column(default=0.0)


class Job(Table):
    """One model to run on some instances; `token` fences off a worker whose lease ran out.

    Jobs go by `priority`, the lowest first, then by `virtual_time`, which makes senders take turns. The
    reports of `predecessor`, a job of an earlier revision, are replaced by those of this one.
    `interruptions` counts how often the node went down while it ran, which is no fault of the job's.
    """

    __tablename__ = "jobs"
    __table_args__ = (
        UniqueConstraint("study_id", "model", "model_sha256", "inputs_digest"),
        Index("ix_jobs_claim", "state", "priority", "virtual_time", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[int] = mapped_column(ForeignKey("studies.id"))
    predecessor_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    revision: Mapped[int]
    sender: Mapped[str]
    priority: Mapped[int] = mapped_column(default=0)
    virtual_time: Mapped[float] = mapped_column(default=0.0)
    model: Mapped[str]
    model_sha256: Mapped[str]
    inputs_digest: Mapped[str]
    destinations: Mapped[list[str]]
    state: Mapped[JobState]
    reason: Mapped[str] = mapped_column(default="")
    attempts: Mapped[int] = mapped_column(default=0)
    interruptions: Mapped[int] = mapped_column(default=0, server_default="0")
    worker: Mapped[str] = mapped_column(default="")
    token: Mapped[str] = mapped_column(default="")
    lease_boot_id: Mapped[str] = mapped_column(default="")
    lease_until_seconds: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]

    study: Mapped[Study] = relationship(back_populates="jobs")
    predecessor: Mapped[Job | None] = relationship(remote_side="Job.id")
    inputs: Mapped[list[JobInput]] = relationship(back_populates="job", order_by="JobInput.id")
    results: Mapped[list[Result]] = relationship(back_populates="job", order_by="Result.id")
    embedding: Mapped[Embedding | None] = relationship(back_populates="job")

    def move(self, new: JobState) -> None:
        """Go to another state; raises IllegalMove if `states.py` does not allow it."""
        check_move(self.state, new)
        self.state = new


class Result(Table):
    """One encoded result object on disk."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), index=True)
    kind: Mapped[str]
    sop_class_uid: Mapped[str]
    sop_instance_uid: Mapped[str] = mapped_column(unique=True)
    series_instance_uid: Mapped[str]
    path: Mapped[str] = mapped_column(index=True)
    sha256: Mapped[str]
    created_at: Mapped[datetime]

    job: Mapped[Job] = relationship(back_populates="results")
    deliveries: Mapped[list[Delivery]] = relationship(back_populates="result", order_by="Delivery.id")


class Embedding(Table):
    """What a job's network made of its image in a few numbers, for a search of like images; sent to nobody."""

    __tablename__ = "embeddings"

    job_id: Mapped[int] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    numbers: Mapped[list[float]]

    job: Mapped[Job] = relationship(back_populates="embedding")


class Delivery(Table):
    """One result object on its way to one destination: a row of the outbox.

    `commitment_due_at` is when its destination is asked next whether it keeps it for good, empty where nobody asks.
    `askings` counts how often it was, since it was sent, and `denials` how often it said no, since it was queued.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        UniqueConstraint("result_id", "destination"),
        Index("ix_deliveries_state_due_at", "state", "due_at"),
        Index("ix_deliveries_commitment_due_at", "commitment_due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    result_id: Mapped[int] = mapped_column(ForeignKey("results.id"))
    destination: Mapped[str]
    state: Mapped[DeliveryState]
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime]
    answer: Mapped[str] = mapped_column(default="")
    sent_at: Mapped[datetime | None]
    commitment_due_at: Mapped[datetime | None]
    askings: Mapped[int] = mapped_column(default=0, server_default="0")
    denials: Mapped[int] = mapped_column(default=0, server_default="0")
    committed_at: Mapped[datetime | None]

    result: Mapped[Result] = relationship(back_populates="deliveries")

    def move(self, new: DeliveryState) -> None:
        """Go to another state; raises IllegalMove if `states.py` does not allow it."""
        check_move(self.state, new)
        self.state = new


class Destination(Table):
    """A destination whose deliveries a person has paused; there is no row for one that was never paused."""

    __tablename__ = "destinations"

    name: Mapped[str] = mapped_column(primary_key=True)
    is_paused: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")


class AuditPosition(Table):
    """How far a sink of the audit trail has come: the last event it was told of."""

    __tablename__ = "audit_positions"

    sink: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[int]


class Event(Table):
    """Something that happened, with its time; never changed afterwards.

    Those of a study are looked for. The index leaves out the others, which every association makes.
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_study_id", "study_id", sqlite_where=text("study_id IS NOT NULL")),)

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    name: Mapped[str]
    association_id: Mapped[int | None] = mapped_column(ForeignKey("associations.id"))
    study_id: Mapped[int | None] = mapped_column(ForeignKey("studies.id"))
    job_id: Mapped[int | None] = mapped_column(ForeignKey("jobs.id"))
    delivery_id: Mapped[int | None] = mapped_column(ForeignKey("deliveries.id"))
    detail: Mapped[dict[str, Any]]
