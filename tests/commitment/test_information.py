"""The data sets of storage commitment: pydicom reads what we write, and we read what pydicom writes."""

from __future__ import annotations

import struct
import time
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

from node.commitment.information import (
    MOST_REFERENCES,
    decode_report,
    decode_request,
    encode_report,
    encode_request,
    event_type_of,
)
from node.errors import MalformedCommitment
from node.vocabulary import CommitmentReport, CommitmentRequest, InstanceReference

SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
BOTH_SYNTAXES = pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)

ONE = InstanceReference(str(CTImageStorage), "1.2.3.4")
OTHER = InstanceReference(str(MRImageStorage), "1.2.3.45")
REQUEST = CommitmentRequest("1.2.77", (ONE, OTHER))
REPORT = CommitmentReport("1.2.77", (ONE,), {OTHER: 0x0112})


def reference(uid: str = "1.2.3.4", **more: Any) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CTImageStorage, uid
    for keyword, value in more.items():
        setattr(item, keyword, value)
    return item


def encode(dataset: Dataset, syntax: str = ExplicitVRLittleEndian, *, is_open: bool = False) -> bytes:
    """Write as pydicom does; `is_open` leaves the lengths of sequences and items undefined."""
    for element in dataset:
        if element.VR == "SQ" and is_open:
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
    target = DicomBytesIO()
    target.is_little_endian, target.is_implicit_VR = True, syntax == ImplicitVRLittleEndian
    write_dataset(target, dataset)
    return bytes(target.getvalue())


def decode(encoded: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(encoded), syntax == ImplicitVRLittleEndian, True)


def request(*items: Dataset, transaction_uid: str | None = "1.2.77") -> Dataset:
    dataset = Dataset()
    if transaction_uid is not None:
        dataset.TransactionUID = transaction_uid
    dataset.ReferencedSOPSequence = list(items)
    return dataset


@BOTH_SYNTAXES
def test_a_request_is_written_as_pydicom_reads_it(syntax: str) -> None:
    found = decode(encode_request(REQUEST, syntax), syntax)
    named = [(item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) for item in found.ReferencedSOPSequence]
    assert found.TransactionUID == "1.2.77"
    assert named == [(CTImageStorage, "1.2.3.4"), (MRImageStorage, "1.2.3.45")]
    assert encode(found, syntax) == encode_request(REQUEST, syntax)


@BOTH_SYNTAXES
def test_a_report_is_written_as_pydicom_reads_it(syntax: str) -> None:
    found = decode(encode_report(REPORT, syntax), syntax)
    assert found.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.4"
    assert "FailureReason" not in found.ReferencedSOPSequence[0]
    assert found.FailedSOPSequence[0].ReferencedSOPInstanceUID == "1.2.3.45"
    assert found.FailedSOPSequence[0].FailureReason == 0x0112
    assert encode(found, syntax) == encode_report(REPORT, syntax)


@BOTH_SYNTAXES
def test_what_is_written_is_read_back(syntax: str) -> None:
    assert decode_request(encode_request(REQUEST, syntax), syntax) == REQUEST
    assert decode_report(encode_report(REPORT, syntax), syntax) == REPORT


def test_a_report_names_no_empty_sequence() -> None:
    all_well, all_failed = CommitmentReport("1.2", (ONE,), {}), CommitmentReport("1.2", (), {ONE: 0x0110})
    assert "FailedSOPSequence" not in decode(encode_report(all_well, ImplicitVRLittleEndian), ImplicitVRLittleEndian)
    found = decode(encode_report(all_failed, ImplicitVRLittleEndian), ImplicitVRLittleEndian)
    assert "ReferencedSOPSequence" not in found
    assert [event_type_of(report) for report in (all_well, REPORT, all_failed)] == [1, 2, 2]


@BOTH_SYNTAXES
@pytest.mark.parametrize("is_open", [False, True], ids=["lengths stated", "lengths open"])
def test_lengths_may_be_stated_or_open(syntax: str, is_open: bool) -> None:
    encoded = encode(request(reference(), reference("1.2.3.45")), syntax, is_open=is_open)
    found = decode_request(encoded, syntax)
    assert [entry.sop_instance_uid for entry in found.references] == ["1.2.3.4", "1.2.3.45"]


def test_what_else_a_peer_tells_is_passed_over() -> None:
    dataset = request(reference(StorageMediaFileSetID="SET"))
    dataset.RetrieveAETitle = "ARCHIVE"
    assert decode_request(encode(dataset), ExplicitVRLittleEndian).references == (ONE,)


def test_an_instance_named_twice_is_there_once() -> None:
    encoded = encode(request(reference(), reference("1.2.3.45"), reference()))
    assert len(decode_request(encoded, ExplicitVRLittleEndian).references) == 2


def failed(item: Dataset) -> Dataset:
    dataset = request()
    del dataset.ReferencedSOPSequence
    dataset.FailedSOPSequence = [item]
    return dataset


def nested() -> Dataset:
    item = reference()
    item.PurposeOfReferenceCodeSequence = [Dataset()]
    item["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    return item


def without(keyword: str) -> Dataset:
    item = reference()
    del item[keyword]
    return item


def as_text() -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = "1.2"
    dataset.add_new("ReferencedSOPSequence", "LO", "text")
    return dataset


@pytest.mark.parametrize(
    "dataset",
    [
        request(reference(), transaction_uid=None),
        request(),
        request(without("ReferencedSOPClassUID")),
        request(without("ReferencedSOPInstanceUID")),
        request(nested()),
        as_text(),
        Dataset(),
    ],
    ids=[
        "no transaction",
        "no instance",
        "no class",
        "no instance UID",
        "nested",
        "text",
        "nothing",
    ],
)
def test_a_request_that_does_not_say_what_it_must_is_refused(dataset: Dataset) -> None:
    with pytest.raises(MalformedCommitment):
        decode_request(encode(dataset), ExplicitVRLittleEndian)


def test_what_is_no_uid_is_not_quoted() -> None:
    encoded = encode(request(reference(), transaction_uid="1.2.3.77")).replace(b"1.2.3.77", b"DOE^JANE")
    with pytest.raises(MalformedCommitment) as refused:
        decode_request(encoded, ExplicitVRLittleEndian)
    assert "DOE" not in str(refused.value)


def contradiction() -> Dataset:
    dataset = failed(reference(FailureReason=0x0110))
    dataset.ReferencedSOPSequence = [reference()]
    return dataset


def odd_reason() -> Dataset:
    item = reference()
    item.FailureReason = [0x0110, 0x0112]
    return failed(item)


@pytest.mark.parametrize(
    "dataset",
    [request(), failed(reference()), odd_reason(), contradiction()],
    ids=["no instance", "no reason", "two reasons", "both"],
)
def test_a_report_that_does_not_say_what_it_must_is_refused(dataset: Dataset) -> None:
    with pytest.raises(MalformedCommitment):
        decode_report(encode(dataset), ExplicitVRLittleEndian)


def test_a_delimiter_where_the_length_is_stated_is_refused() -> None:
    delimiter = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
    uid = struct.pack("<HHL", 0x0008, 0x1195, 4) + b"1.2\0"
    encoded = uid + struct.pack("<HHL", 0x0008, 0x1199, len(delimiter)) + delimiter
    with pytest.raises(MalformedCommitment):
        decode_request(encoded, ImplicitVRLittleEndian)


@BOTH_SYNTAXES
def test_a_request_cut_off_anywhere_is_refused(syntax: str) -> None:
    encoded = encode_request(REQUEST, syntax)
    whole_at = {0, len(encode_request(REQUEST, syntax))}
    for length in range(len(encoded)):
        if length not in whole_at:
            with pytest.raises(MalformedCommitment):
                decode_request(encoded[:length], syntax)


@given(encoded=st.binary(max_size=200), place=st.integers(0, 100), syntax=st.sampled_from(SYNTAXES))
def test_whatever_comes_is_read_or_refused_by_name(encoded: bytes, place: int, syntax: str) -> None:
    whole = encode_report(REPORT, syntax)
    for garbled in (encoded, whole[:place] + encoded + whole[place + len(encoded) :]):
        for decode_either in (decode_request, decode_report):
            try:
                decode_either(garbled, syntax)
            except MalformedCommitment:
                continue


def many(count: int) -> CommitmentRequest:
    return CommitmentRequest("1.2", tuple(InstanceReference(str(CTImageStorage), f"1.2.{n}") for n in range(count)))


def test_the_longest_request_is_read_in_a_few_seconds() -> None:
    encoded = encode_request(many(MOST_REFERENCES), ExplicitVRLittleEndian)
    started = time.process_time()
    assert len(decode_request(encoded, ExplicitVRLittleEndian).references) == MOST_REFERENCES
    assert time.process_time() - started < 10


def test_a_longer_request_is_refused() -> None:
    encoded = encode_request(many(MOST_REFERENCES + 1), ExplicitVRLittleEndian)
    with pytest.raises(MalformedCommitment, match="several requests"):
        decode_request(encoded, ExplicitVRLittleEndian)


def test_a_generated_uid_fits() -> None:
    asked = CommitmentRequest(str(generate_uid()), (ONE,))
    assert decode_request(encode_request(asked, ImplicitVRLittleEndian), ImplicitVRLittleEndian) == asked
