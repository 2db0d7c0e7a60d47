"""Items of sequences say the same whether they are read where they were written or by pydicom."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from io import BytesIO

import pytest
from pydicom import dcmread, uid
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from results.volume_requests import enhanced_series, mr_series, two_sides

from node.explicit_vr import element, sequence, sequence_value
from node.plain_values import UNREADABLE
from node.results.encode import encode_results
from node.results.items import Item, item_of

AXIAL = (1, 0, 0, 0, 1, 0)
SOURCES = {"single_frame": mr_series(AXIAL), "multi_frame": enhanced_series(AXIAL)}
REFERENCES = 0x0040A375  # CurrentRequestedProcedureEvidenceSequence; any sequence would do


@pytest.fixture(scope="module", params=SOURCES)
def files(request: pytest.FixtureRequest) -> list[bytes]:
    return [result.encoded for result in encode_results(two_sides(SOURCES[request.param]))]


def read(file: bytes) -> Dataset:
    return dcmread(BytesIO(file))


def read_by_pydicom(file: bytes) -> Dataset:
    """Return a data set in which nothing is left as it was written."""
    dataset = read(file)
    assert list(dataset.iterall())
    return dataset


def written_again(file: bytes, is_implicit: bool) -> bytes:
    """Return the same with implicit VR, or with sequences and items that do not state their lengths."""
    dataset, again = read_by_pydicom(file), BytesIO()
    for held in dataset.iterall():
        if held.VR == "SQ" and not is_implicit:
            held.is_undefined_length = True
            for item in held.value:
                item.is_undefined_length_sequence_item = True
    if is_implicit:
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian
    dataset.save_as(again, implicit_vr=is_implicit, little_endian=True, enforce_file_format=True)
    return again.getvalue()


def all_within(item: Item) -> Iterator[Item]:
    for inner in item.below():
        yield inner
        yield from all_within(inner)


def test_what_is_read_where_it_was_written_is_what_pydicom_reads(files: list[bytes]) -> None:
    for file in files:
        dataset = read(file)
        before = [held.tag for held in dataset.elements() if held.VR == "SQ"]
        found = item_of(dataset)
        assert found == item_of(read_by_pydicom(file))
        assert any("ReferencedSOPInstanceUID" in item.values for item in all_within(found))
        assert set(found.sequences) == set(before)
        assert all(isinstance(dataset.get_item(tag), RawDataElement) for tag in before)


@pytest.mark.parametrize("is_implicit", [True, False], ids=["implicit_vr", "undefined_lengths"])
def test_what_is_written_otherwise_says_the_same(files: list[bytes], is_implicit: bool) -> None:
    for file in files:
        again = written_again(file, is_implicit)
        assert again != file
        assert item_of(read(again)) == item_of(read(file))


def holding(value: bytes) -> Dataset:
    """Return a data set of one sequence, as pydicom holds it before anyone looks into it."""
    dataset = Dataset({REFERENCES: RawDataElement(REFERENCES, "SQ", len(value), value, 0, False, True)})
    dataset.set_original_encoding(False, True, "iso8859")
    return dataset


INSTANCE = element(0x00081155, b"UI", b"1.2.3")


def test_several_values_are_one_text_and_padding_is_gone() -> None:
    position, reference = element(0x00200032, b"DS", b"1\\-2.50\\3 "), element(0x00081155, b"UI", b"1.2.30")
    place = sequence(0x00209113, position, reference, element(0x00080100, b"SH", b"Box "))
    (found,) = item_of(holding(sequence_value([place]))).items("CurrentRequestedProcedureEvidenceSequence")
    assert [item.values for item in found.items("PlanePositionSequence")] == [
        {"ImagePositionPatient": "1\\-2.50\\3"},
        {"ReferencedSOPInstanceUID": "1.2.30"},
        {"CodeValue": "Box"},
    ]


def test_a_sequence_that_calls_itself_un_is_left_to_pydicom_and_counts() -> None:
    """Its items are written with implicit VR (PS3.5 6.2.2)."""
    reference = struct.pack("<HHL", 0x0008, 0x1155, 6) + b"1.2.9\0"
    items = sequence_value([reference])
    hidden = struct.pack("<HH2sxxL", 0x0008, 0x1199, b"UN", len(items)) + items
    dataset = holding(sequence_value([INSTANCE + hidden]))
    (found,) = item_of(dataset).below()
    assert found.values == {"ReferencedSOPInstanceUID": "1.2.3"}
    assert [item.values for item in found.items("ReferencedSOPSequence")] == [{"ReferencedSOPInstanceUID": "1.2.9"}]


@pytest.mark.parametrize("cut_bytes", [1, 6, 13])
def test_a_sequence_that_is_cut_off_is_left_to_pydicom(cut_bytes: int) -> None:
    dataset = holding(sequence_value([INSTANCE])[:-cut_bytes])
    with suppress(*UNREADABLE):
        item_of(dataset)
        assert not isinstance(dataset.get_item(REFERENCES), RawDataElement)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("behind", [[INSTANCE], []], ids=["and into the next", "where there is none"])
def test_an_element_that_runs_past_its_item_is_left_to_pydicom(behind: list[bytes]) -> None:
    dataset = holding(sequence_value([INSTANCE[:-2], *behind]))
    with suppress(*UNREADABLE):
        item_of(dataset)
        assert not isinstance(dataset.get_item(REFERENCES), RawDataElement)


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize(
    ("content", "uid_read"),
    [(INSTANCE + bytes(4), "1.2.3"), (element(0x00081155, b"UI", b"1.2.\xe9"), "1.2.\xe9")],
    ids=["a rest that is no element", "a letter beyond ASCII"],
)
def test_what_only_pydicom_reads_is_what_it_reads(content: bytes, uid_read: str) -> None:
    (found,) = item_of(holding(sequence_value([content]))).below()
    assert found.values == {"ReferencedSOPInstanceUID": uid_read}


def test_an_empty_value_is_stated_and_says_nothing() -> None:
    dataset = Dataset()
    dataset.ReferencedFrameNumber = None
    assert item_of(dataset).values == {"ReferencedFrameNumber": ""}
