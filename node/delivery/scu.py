"""Sends instances over C-STORE, as they lie on disk wherever the peer lets us, and says what each answer means."""

from __future__ import annotations

import struct
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from node.delivery.requestor import Requestor, associate
from node.errors import DeliveryDelayed, DeliveryRefused
from node.vocabulary import PeerAddress

SUCCESS = 0x0000
SOP_CLASS_NOT_SUPPORTED = 0x0122
_WARNINGS = frozenset((0xB000, 0xB006, 0xB007))
_CONTEXT_LIMIT = 128
_MEDIUM_PRIORITY = 0x0000
_MESSAGE_IDS = 0xFFFF
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
    for batch in _batches([_read_head(path) for path in paths]):
        try:
            with associate(requestor, peer, _contexts(batch)) as association:
                for number, parcel in enumerate(batch):
                    yield _send(association, parcel, 1 + number % _MESSAGE_IDS)
        except DeliveryRefused:
            for parcel in batch:
                yield StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))


def echo(local_ae_title: str, peer: PeerAddress, timeout_seconds: float) -> float:
    """Return the seconds one C-ECHO takes; raises DeliveryDelayed or DeliveryRefused without an answer."""
    requestor = Requestor(local_ae_title, timeout_seconds)
    with associate(requestor, peer, [build_context(Verification)]) as association:
        started = time.perf_counter()
        status = association.send_c_echo()
        if "Status" not in status:
            raise DeliveryDelayed(f"{peer.ae_title} at {peer.host}:{peer.port}: no answer to C-ECHO")
        return time.perf_counter() - started


@dataclass(frozen=True)
class _Parcel:
    """A file to send: where its data set starts, and what it is."""

    path: Path
    data_set_at: int
    sop_class: UID
    sop_instance: UID
    transfer_syntax: UID

    @property
    def contexts(self) -> tuple[tuple[UID, UID], ...]:
        """Return what may be negotiated for it: as it is first, then what it can be written in instead.

        Implicit VR Little Endian is the one transfer syntax that every peer must know (PS3.5 10.1).
        """
        as_it_is = (self.sop_class, self.transfer_syntax)
        if self.transfer_syntax != ExplicitVRLittleEndian:
            return (as_it_is,)
        return as_it_is, (self.sop_class, ImplicitVRLittleEndian)


def _read_head(path: Path) -> _Parcel:
    """Read what to announce from the data set itself, which the announcement must agree with."""
    try:
        meta, data_set_at = split_dataset(path)
        header = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"])
        return _Parcel(path, data_set_at, header.SOPClassUID, header.SOPInstanceUID, meta.TransferSyntaxUID)
    except (InvalidDicomError, AttributeError) as error:
        raise DeliveryRefused(
            f"{path}: found {error}, expected a DICOM file with its UIDs; send the others without it"
        ) from error


def _batches(parcels: Sequence[_Parcel]) -> Iterator[list[_Parcel]]:
    """Cut the parcels where one association's 128 contexts (PS3.8 9.3.2.2) are used up."""
    batch: list[_Parcel] = []
    contexts: set[tuple[UID, UID]] = set()
    for parcel in parcels:
        if len(contexts.union(parcel.contexts)) > _CONTEXT_LIMIT:
            yield batch
            batch, contexts = [], set()
        batch.append(parcel)
        contexts.update(parcel.contexts)
    if batch:
        yield batch


def _contexts(batch: Sequence[_Parcel]) -> list[PresentationContext]:
    """Propose one context for each SOP class and transfer syntax, so that the peer cannot choose another."""
    return [build_context(*pair) for pair in dict.fromkeys(pair for parcel in batch for pair in parcel.contexts)]


def _send(association: Association, parcel: _Parcel, message_id: int) -> StoreAnswer:
    context = _accepted_context(association, parcel)
    if context is None:
        return StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))
    if not association.is_established:
        raise DeliveryDelayed("the peer ended the association before everything was sent")
    request = C_STORE()
    request.MessageID = message_id
    request.AffectedSOPClassUID = parcel.sop_class
    request.AffectedSOPInstanceUID = parcel.sop_instance
    request.Priority = _MEDIUM_PRIORITY
    if context.transfer_syntax[0] == parcel.transfer_syntax:
        # The public way to name a file is a switch for the whole process; `DataSet` would hold it in memory.
        request._dataset_path = (parcel.path, parcel.data_set_at)  # noqa: SLF001
    else:
        encoded = _encode_implicit(parcel.path)
        if encoded is None:
            return StoreAnswer(parcel.path, SOP_CLASS_NOT_SUPPORTED, _not_accepted(parcel))
        request.DataSet = BytesIO(encoded)
    assert context.context_id is not None
    association.dimse.send_msg(request, context.context_id)
    _, response = association.dimse.get_msg(block=True)
    return _read_answer(parcel, response)


def _accepted_context(association: Association, parcel: _Parcel) -> PresentationContext | None:
    """Return the best of the contexts that the peer accepted for a parcel."""
    accepted = {(c.abstract_syntax, c.transfer_syntax[0]): c for c in association.accepted_contexts}
    return next((accepted[pair] for pair in parcel.contexts if pair in accepted), None)


def _encode_implicit(path: Path) -> bytes | None:
    """Return a file's data set in Implicit VR Little Endian, or None when pydicom cannot write it so."""
    encoded = DicomBytesIO()
    encoded.is_implicit_VR, encoded.is_little_endian = True, True
    try:
        write_dataset(encoded, dcmread(path))
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError, struct.error):
        return None
    return bytes(encoded.getvalue())


def _not_accepted(parcel: _Parcel) -> str:
    syntaxes = " or ".join(syntax.name for _, syntax in parcel.contexts)
    return (
        f"the peer does not accept {parcel.sop_class.name} in {syntaxes}; {_HOW_TO_ACCEPT}, then "
        "`radnode deliveries resend`"
    )


def _read_answer(parcel: _Parcel, response: object) -> StoreAnswer:
    if response is None:
        raise DeliveryDelayed("no answer to C-STORE: the peer fell silent or broke off the association")
    if not isinstance(response, C_STORE) or not response.is_valid_response:
        raise DeliveryDelayed("the answer to C-STORE is none; see the peer's log")
    assert response.Status is not None
    return StoreAnswer(parcel.path, response.Status, response.ErrorComment or "")
