"""Information of storage commitment: the data sets of N-ACTION and N-EVENT-REPORT (PS3.4 Tables J.3-1, J.3-2)."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping

from pydicom.datadict import tag_for_keyword

from node.archive.identity import check_uid
from node.archive.walk import UNDEFINED, Element, encoding_of, read_element, walk_dataset
from node.errors import MalformedCommitment, MalformedInstance, TooMuchAsked
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference

COMMITMENT_CLASS = "1.2.840.10008.1.20.1"
COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"  # the one instance there is, known to all (PS3.4 J.3.5)

REQUEST_COMMITMENT = 1  # Action Type ID (PS3.4 Table J.3-1)
ALL_COMMITTED, SOME_FAILED = 1, 2  # Event Type ID (PS3.4 Table J.3-2)

MOST_REFERENCES = 16_384  # in one message; a sender of more cuts its request

_ITEM_TAG, _ITEM_END_TAG = 0xFFFEE000, 0xFFFEE00D
_HEADER_BYTES = 8

_References = Iterable[tuple[InstanceReference, int | None]]


def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return tag


_TRANSACTION = _tag("TransactionUID")
_REFERENCED = _tag("ReferencedSOPSequence")
_FAILED = _tag("FailedSOPSequence")
_CLASS = _tag("ReferencedSOPClassUID")
_INSTANCE = _tag("ReferencedSOPInstanceUID")
_REASON = _tag("FailureReason")

_NAMES = {_CLASS: "ReferencedSOPClassUID", _INSTANCE: "ReferencedSOPInstanceUID", _TRANSACTION: "TransactionUID"}


def event_type_of(report: CommitmentReport) -> int:
    """Return the Event Type ID under which a report goes out."""
    return SOME_FAILED if report.failed else ALL_COMMITTED


def decode_request(encoded: bytes, transfer_syntax: str) -> CommitmentRequest:
    """Read the Action Information of an N-ACTION; what it names twice is there once.

    Raises MalformedCommitment for one that is not whole or names no instance, TooMuchAsked for one that names
    more than MOST_REFERENCES.
    """
    try:
        information = _Information(encoded, transfer_syntax)
        references = tuple(dict.fromkeys(reference for reference, _ in information.items(_REFERENCED)))
        transaction_uid = information.transaction_uid()
    except MalformedInstance as error:
        raise MalformedCommitment(str(error)) from error
    if not references:
        raise MalformedCommitment("ReferencedSOPSequence: found no item, expected one for each instance to keep")
    return CommitmentRequest(transaction_uid, references)


def decode_report(encoded: bytes, transfer_syntax: str) -> CommitmentReport:
    """Read the Event Information of an N-EVENT-REPORT.

    Raises MalformedCommitment for one that is not whole, names no instance, or says of one that it is
    committed and that it is not.
    """
    try:
        information = _Information(encoded, transfer_syntax)
        committed = tuple(dict.fromkeys(reference for reference, _ in information.items(_REFERENCED)))
        failed = {reference: _stated(reason) for reference, reason in information.items(_FAILED)}
        transaction_uid = information.transaction_uid()
    except MalformedInstance as error:
        raise MalformedCommitment(str(error)) from error
    if not committed and not failed:
        raise MalformedCommitment("report: found no instance in it, expected what became of each one asked for")
    if not failed.keys().isdisjoint(committed):
        raise MalformedCommitment("report: found an instance both committed and failed, expected one of the two")
    return CommitmentReport(transaction_uid, committed, failed)


def encode_request(request: CommitmentRequest, transfer_syntax: str) -> bytes:
    """Return the Action Information of an N-ACTION, in Implicit or Explicit VR Little Endian."""
    write = _Writer(transfer_syntax)
    references = ((reference, None) for reference in request.references)
    return write.uid(_TRANSACTION, request.transaction_uid) + write.sequence(_REFERENCED, references)


def encode_report(report: CommitmentReport, transfer_syntax: str) -> bytes:
    """Return the Event Information of an N-EVENT-REPORT; a sequence that would be empty is left out."""
    write = _Writer(transfer_syntax)
    encoded = write.uid(_TRANSACTION, report.transaction_uid)
    if report.failed:
        encoded += write.sequence(_FAILED, report.failed.items())
    if report.committed:
        encoded += write.sequence(_REFERENCED, ((reference, None) for reference in report.committed))
    return encoded


class _Information:
    """An encoded data set that the walk has found whole; pydicom would take seconds for the longest."""

    def __init__(self, encoded: bytes, transfer_syntax: str) -> None:
        """Walk it; raises MalformedInstance."""
        self._encoded = encoded
        self._encoding = encoding_of(transfer_syntax)
        self._elements = {element.tag: element for element in walk_dataset(encoded, transfer_syntax)}

    def transaction_uid(self) -> str:
        return self._uid(self._elements, _TRANSACTION)

    def items(self, tag: int) -> Iterator[tuple[InstanceReference, int | None]]:
        """Give each item of a sequence: the instance it names and the reason it states, if any."""
        sequence = self._elements.get(tag)
        if sequence is None:
            return
        if sequence.vr not in {None, b"SQ"}:
            raise MalformedCommitment("sequence: found another VR, expected SQ")
        at, end, count = sequence.value_at, sequence.value_at + sequence.length, 0
        while at < end and (count := count + 1) <= MOST_REFERENCES:
            at, elements = self._item(at, end)
            reference = InstanceReference(self._uid(elements, _CLASS), self._uid(elements, _INSTANCE))
            yield reference, self._reason(elements.get(_REASON))
        if at < end:
            raise TooMuchAsked(f"sequence: found more than {MOST_REFERENCES} items; send several requests")

    def _item(self, at: int, end: int) -> tuple[int, dict[int, Element]]:
        """Return where the item at `at` ends, and its elements by tag."""
        item = self._read(at)
        assert item.tag == _ITEM_TAG  # the walk lets nothing else be there
        stop = end if item.length == UNDEFINED else item.value_at + item.length
        at, elements = item.value_at, {}
        while at < stop:
            element = self._read(at)
            at = element.value_at
            if element.tag == _ITEM_END_TAG:
                break
            if element.length == UNDEFINED:
                raise MalformedCommitment("item: found an element without a length, expected UIDs and a reason")
            elements[element.tag] = element
            at += element.length
        return at, elements

    def _read(self, at: int) -> Element:
        return read_element(self._encoded, at, self._encoding)

    def _uid(self, elements: Mapping[int, Element], tag: int) -> str:
        element = elements.get(tag)
        found = b"" if element is None else self._value(element)
        uid = found.rstrip(b"\0 ").decode("ascii", errors="backslashreplace")
        check_uid(_NAMES[tag], uid)
        return uid

    def _reason(self, element: Element | None) -> int | None:
        if element is None:
            return None
        if element.length != 2:
            raise MalformedCommitment(f"FailureReason: found {element.length} bytes, expected 2")
        return int.from_bytes(self._value(element), "little")

    def _value(self, element: Element) -> bytes:
        return self._encoded[element.value_at : element.value_at + element.length]


class _Writer:
    """Writes elements in Implicit or Explicit VR Little Endian, every length stated."""

    def __init__(self, transfer_syntax: str) -> None:
        self._is_implicit = encoding_of(transfer_syntax).is_implicit

    def uid(self, tag: int, value: str) -> bytes:
        encoded = value.encode("ascii")
        return self._element(tag, b"UI", encoded + b"\0" * (len(encoded) % 2))

    def sequence(self, tag: int, references: _References) -> bytes:
        return self._element(tag, b"SQ", b"".join(self._item(*entry) for entry in references))

    def _item(self, reference: InstanceReference, reason: int | None) -> bytes:
        value = self.uid(_CLASS, reference.sop_class_uid) + self.uid(_INSTANCE, reference.sop_instance_uid)
        if reason is not None:
            value += self._element(_REASON, b"US", struct.pack("<H", reason))
        return struct.pack("<HHL", _ITEM_TAG >> 16, _ITEM_TAG & 0xFFFF, len(value)) + value

    def _element(self, tag: int, vr: bytes, value: bytes) -> bytes:
        group, number = tag >> 16, tag & 0xFFFF
        if self._is_implicit:
            return struct.pack("<HHL", group, number, len(value)) + value
        if vr == b"SQ":
            return struct.pack("<HH2sxxL", group, number, vr, len(value)) + value
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value


def _stated(reason: int | None) -> int:
    if reason is None:
        raise MalformedCommitment("FailureReason: found none, expected one in each item of FailedSOPSequence")
    return reason
