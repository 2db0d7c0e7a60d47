"""The tables every step writes its progress to, the engine that keeps them, and their migrations."""

from node.database.commitment_tables import Commitment, CommitmentReference, Pledge, PledgedObject
from node.database.engine import Database
from node.database.events import EventName, record_association_event, record_event, record_study_event
from node.database.group import GroupCommit
from node.database.prepared import Prepared
from node.database.tables import (
    Association,
    AuditPosition,
    Decision,
    Delivery,
    Destination,
    Embedding,
    Event,
    Instance,
    Job,
    JobInput,
    Result,
    Sender,
    Series,
    Study,
)
from node.database.transaction import Transaction

__all__ = [
    "Association",
    "AuditPosition",
    "Commitment",
    "CommitmentReference",
    "Database",
    "Decision",
    "Delivery",
    "Destination",
    "Embedding",
    "Event",
    "EventName",
    "GroupCommit",
    "Instance",
    "Job",
    "JobInput",
    "Pledge",
    "PledgedObject",
    "Prepared",
    "Result",
    "Sender",
    "Series",
    "Study",
    "Transaction",
    "record_association_event",
    "record_event",
    "record_study_event",
]
