"""The tables of storage commitment (PS3.4 Annex J): what we asked of peers, and what peers asked of us."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from node.database.tables import Delivery, Table
from node.states import CommitmentState, check_move


class Pledge(Table):
    """One transaction in which a peer was asked to commit to what it was sent (PS3.4 J.3.2).

    Only `ae_title`, whom we asked, may report on it, and once.
    """

    __tablename__ = "pledges"

    id: Mapped[int] = mapped_column(primary_key=True)
    transaction_uid: Mapped[str] = mapped_column(unique=True)
    ae_title: Mapped[str]
    asked_at: Mapped[datetime]
    reported_at: Mapped[datetime | None]

    objects: Mapped[list[PledgedObject]] = relationship(
        back_populates="pledge", order_by="PledgedObject.id", cascade="all, delete-orphan"
    )


class PledgedObject(Table):
    """One object of a pledge; `sent_at` tells which time it was sent the peer was asked about."""

    __tablename__ = "pledged_objects"

    id: Mapped[int] = mapped_column(primary_key=True)
    pledge_id: Mapped[int] = mapped_column(ForeignKey("pledges.id"), index=True)
    delivery_id: Mapped[int] = mapped_column(ForeignKey("deliveries.id"), index=True)
    sent_at: Mapped[datetime]

    pledge: Mapped[Pledge] = relationship(back_populates="objects")
    delivery: Mapped[Delivery] = relationship()


class Commitment(Table):
    """A peer's request that we commit ourselves to keep instances, until our report on them is answered.

    `digest` is over the instances it names, whose rows go once it is reported.
    """

    __tablename__ = "commitments"
    __table_args__ = (
        UniqueConstraint("calling_ae_title", "transaction_uid"),
        Index("ix_commitments_state_due_at", "state", "due_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    calling_ae_title: Mapped[str]
    transaction_uid: Mapped[str]
    digest: Mapped[str]
    state: Mapped[CommitmentState]
    attempts: Mapped[int] = mapped_column(default=0)
    asked_at: Mapped[datetime]
    due_at: Mapped[datetime]
    answer: Mapped[str] = mapped_column(default="")

    def move(self, new: CommitmentState) -> None:
        """Go to another state; raises IllegalMove if `states.py` does not allow it."""
        check_move(self.state, new)
        self.state = new


class CommitmentReference(Table):
    """An instance that a request names; `failure_reason` is empty until it is judged, 0 where we keep it."""

    __tablename__ = "commitment_references"

    id: Mapped[int] = mapped_column(primary_key=True)
    commitment_id: Mapped[int] = mapped_column(ForeignKey("commitments.id"), index=True)
    sop_class_uid: Mapped[str]
    sop_instance_uid: Mapped[str]
    failure_reason: Mapped[int | None]
