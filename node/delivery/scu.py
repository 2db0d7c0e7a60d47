"""Sends instances over C-STORE, as they lie on disk wherever the peer lets us, and says what each answer means."""

from __future__ import annotations

import struct
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pydicom import dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

from node.delivery.parcel import Parcel, read_parcel
from node.delivery.proposal import AcceptedContext
from node.delivery.requestor import PROPOSED_VERIFICATION, OutgoingAssociation, Requestor, associate
from node.errors import DeliveryDelayed, DeliveryRefused
from node.upper_layer.command import Command
from node.upper_layer.pdu import OutgoingDataSet
from node.vocabulary import PeerAddress

SUCCESS = 0x0000
SOP_CLASS_NOT_SUPPORTED = 0x0122
_WARNINGS = frozenset((0xB000, 0xB006, 0xB007))
_CONTEXT_LIMIT = 128
_HOW_TO_ACCEPT = (
    "let it store this SOP class (Orthanc: \"UnknownSopClassAccepted\": true; dcm4chee: Transfer Capabilities of "
    "its AE; others: the storage classes of its AE)"
)


class Fate(StrEnum):
    """What becomes of a delivery after an answer."""

    SENT = "sent"
    RETRY = "retry"
    DEAD = "dead"


@dataclass(frozen=True)
class StoreAnswer:
    """What the peer said to one instance: its C-STORE status and its ErrorComment, if any."""

    path: Path
    status: int
    comment: str = ""

    @property
    def text(self) -> str:
        """Return status and comment as one line, such as "A700: disk full"."""
        return f"{self.status:04X}: {self.comment}" if self.comment else f"{self.status:04X}"


def classify(status: int) -> Fate:
    """Return what a C-STORE status (PS3.4 B.2.3, PS3.7 C) means for the delivery; unknown ones retry."""
    if status == SUCCESS or status in _WARNINGS:
        return Fate.SENT
    if status == SOP_CLASS_NOT_SUPPORTED or status >> 8 == 0xA9 or status >> 12 == 0xC:
        return Fate.DEAD
    return Fate.RETRY


def send_instances(
    local_ae_title: str, peer: PeerAddress, paths: Sequence[Path], timeout_seconds: float
) -> Generator[StoreAnswer, None, None]:
    """Send Part 10 files and give each one's answer as it comes, in the order of `paths`.

    The data sets go out byte for byte, each in its own transfer syntax. Only where the peer takes an
    Explicit VR Little Endian one in Implicit VR Little Endian alone is it written anew on the way; the
    file stays as it is. One the peer accepts no context for is answered 0122. Raises PeerUnreachable
    when the peer cannot be reached or refuses, and DeliveryDelayed when it falls silent for
    `timeout_seconds` or breaks off: paths without an answer were not stored for certain and may be sent
    again. Raises DeliveryRefused for a file that is no DICOM.
    """
    requestor = Requestor(local_ae_title, timeout_seconds)
    for batch in _batches([read_parcel(path) for path in paths]):
        try:
            with associate(requestor, peer, _contexts(batch)) as association:
                accepted = {(one.abstract_syntax, one.transfer_syntax): one for one in association.contexts}
                for parcel in batch:
                    yield _send(association, accepted, parcel)
        except DeliveryRefused:
            for parcel in batch:
                yield StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))


def echo(local_ae_title: str, peer: PeerAddress, timeout_seconds: float) -> float:
    """Return the seconds one C-ECHO takes; raises DeliveryDelayed or DeliveryRefused without an answer."""
    requestor = Requestor(local_ae_title, timeout_seconds)
    with associate(requestor, peer, [PROPOSED_VERIFICATION]) as association:
        started = time.perf_counter()
        association.echo(association.contexts[0])
        return time.perf_counter() - started


def _batches(parcels: Sequence[Parcel]) -> Iterator[list[Parcel]]:
    """Cut the parcels where one association's 128 contexts (PS3.8 9.3.2.2) are used up."""
    batch: list[Parcel] = []
    contexts: set[tuple[str, str]] = set()
    for parcel in parcels:
        if len(contexts.union(parcel.contexts)) > _CONTEXT_LIMIT:
            yield batch
            batch, contexts = [], set()
        batch.append(parcel)
        contexts.update(parcel.contexts)
    if batch:
        yield batch


def _contexts(batch: Sequence[Parcel]) -> list[tuple[str, Sequence[str]]]:
    """Propose one context for each SOP class and transfer syntax, so that the peer cannot choose another."""
    pairs = dict.fromkeys(pair for parcel in batch for pair in parcel.contexts)
    return [(sop_class, [syntax]) for sop_class, syntax in pairs]


def _send(
    association: OutgoingAssociation, accepted: Mapping[tuple[str, str], AcceptedContext], parcel: Parcel
) -> StoreAnswer:
    """Send a parcel in the best of the contexts that the peer accepted for it."""
    context = next((accepted[pair] for pair in parcel.contexts if pair in accepted), None)
    if context is None:
        return StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))
    if context.transfer_syntax == parcel.transfer_syntax:
        return _send_as_it_is(association, context, parcel)
    encoded = _encode_implicit(parcel.path)
    if encoded is None:
        return StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))
    return _store(association, context, parcel, OutgoingDataSet.of(encoded))


def _send_as_it_is(association: OutgoingAssociation, context: AcceptedContext, parcel: Parcel) -> StoreAnswer:
    with parcel.path.open("rb", buffering=0) as file:
        file.seek(parcel.data_set_at)
        return _store(association, context, parcel, OutgoingDataSet(file, parcel.data_set_bytes))


def _store(
    association: OutgoingAssociation, context: AcceptedContext, parcel: Parcel, data_set: OutgoingDataSet
) -> StoreAnswer:
    try:
        answer = association.ask(context, Command.C_STORE_RQ, parcel.sop_instance, data_set)
    except EOFError as error:
        raise DeliveryDelayed(f"{parcel.path}: {error}; it changed while it was sent") from error
    return StoreAnswer(parcel.path, answer.status, answer.comment)


def _encode_implicit(path: Path) -> bytes | None:
    """Return a file's data set in Implicit VR Little Endian, or None when pydicom cannot write it so."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = True, True
    try:
        write_dataset(encoded, dcmread(path))
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, struct.error):
        return None
    return bytes(encoded.getvalue())


def _not_accepted(parcel: Parcel) -> str:
    syntaxes = " or ".join(UID(syntax).name for _, syntax in parcel.contexts)
    return (
        f"the peer does not accept {UID(parcel.sop_class).name} in {syntaxes}; {_HOW_TO_ACCEPT}, then "
        "`radnode deliveries resend`"
    )
