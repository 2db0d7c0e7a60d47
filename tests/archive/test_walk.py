"""The walk over a data set: what ends where it says is accepted, anything else is refused."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from dcmtk import data_set_bytes, misc_files, transfer_syntax
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from node.archive.walk import DEPTH_LIMIT, walk_dataset
from node.errors import MalformedInstance

EXPLICIT, IMPLICIT, BIG = uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian

def encode(dataset: Dataset, transfer_syntax_uid: uid.UID) -> bytes:
    file = DicomBytesIO()
    file.is_little_endian = transfer_syntax_uid.is_little_endian
    file.is_implicit_VR = transfer_syntax_uid.is_implicit_VR
    write_dataset(file, dataset)
    return file.getvalue()


def nested(depth: int) -> Dataset:
    dataset = Dataset()
    for _ in range(depth):
        outer = Dataset()
        outer.ContentSequence = Sequence([dataset])
        outer["ContentSequence"].is_undefined_length = True
        dataset = outer
    return dataset


def is_accepted(encoded: bytes | memoryview, transfer_syntax_uid: str) -> bool:
    try:
        walk_dataset(encoded, transfer_syntax_uid)
    except MalformedInstance:
        return False
    return True


@pytest.mark.parametrize("name", ["SR_24ff90", "MR_661904"])
def test_a_data_set_with_a_byte_too_many_is_refused(shared: Path, name: str) -> None:
    (path,) = misc_files(shared, name)
    assert not is_accepted(data_set_bytes(path) + b"\0", transfer_syntax(path))
    assert not is_accepted(data_set_bytes(path) + bytes(7), transfer_syntax(path))


def test_zeros_behind_the_last_element_are_accepted_as_padding(shared: Path) -> None:
    (path,) = misc_files(shared, "SR_24ff90")
    assert is_accepted(data_set_bytes(path) + bytes(2000), transfer_syntax(path))
    assert not is_accepted(data_set_bytes(path) + bytes(2000) + b"\1", transfer_syntax(path))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_sequences_are_followed_to_the_limit_and_refused_beyond(syntax: uid.UID) -> None:
    assert is_accepted(encode(nested(DEPTH_LIMIT), syntax), syntax)
    with pytest.raises(MalformedInstance, match="nested"):
        walk_dataset(encode(nested(DEPTH_LIMIT + 1), syntax), syntax)


def test_twenty_thousand_levels_are_refused_without_exhausting_the_stack() -> None:
    level = b"\x40\x00\x30\xa7SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    with pytest.raises(MalformedInstance, match="nested"):
        walk_dataset(level * 20_000, EXPLICIT)


@pytest.mark.parametrize("is_open", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG])
def test_elements_are_those_of_the_outermost_data_set_only(syntax: uid.UID, is_open: bool) -> None:
    inner, dataset = Dataset(), Dataset()
    inner.StudyInstanceUID = "1.2.99"
    dataset.RequestAttributesSequence = Sequence([inner])
    dataset.SOPInstanceUID = "1.2.3"
    dataset["RequestAttributesSequence"].is_undefined_length = is_open
    encoded = encode(dataset, syntax)
    instance, requests = walk_dataset(encoded, syntax)
    assert encoded[instance.value_at : instance.value_at + instance.length] == b"1.2.3\0"
    assert (requests.tag, requests.is_open) == (0x00400275, is_open)
    assert requests.value_at + requests.length == len(encoded) - 8 * is_open


def test_a_data_set_of_nothing_but_empty_elements_does_not_fill_the_memory() -> None:
    encoded = b"".join(struct.pack("<HHL", 0x0009, number, 0) for number in range(0x10000))
    encoded += struct.pack("<HHL", 0x0011, 0, 0)
    with pytest.raises(MalformedInstance, match="more than 65536 elements"):
        walk_dataset(encoded, IMPLICIT)


def test_a_sequence_written_as_un_holds_implicit_items() -> None:
    inner, dataset = Dataset(), Dataset()
    inner.PatientComments = "x" * 40
    items = encode(inner, IMPLICIT)
    un = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" + len(items).to_bytes(4, "little") + items
    dataset.SOPInstanceUID = "1.2.3"
    encoded = encode(dataset, EXPLICIT) + un
    assert not is_accepted(encoded, EXPLICIT)
    assert is_accepted(encoded + b"\xfe\xff\xdd\xe0\0\0\0\0", EXPLICIT)


def test_tags_that_do_not_ascend_are_refused() -> None:
    first, second = Dataset(), Dataset()
    first.PatientID, second.SOPInstanceUID = "X", "1.2.3"
    assert is_accepted(encode(second, EXPLICIT) + encode(first, EXPLICIT), EXPLICIT)
    with pytest.raises(MalformedInstance, match="comes after"):
        walk_dataset(encode(first, EXPLICIT) + encode(second, EXPLICIT), EXPLICIT)
    with pytest.raises(MalformedInstance, match="comes after"):
        walk_dataset(encode(first, EXPLICIT) * 2, EXPLICIT)


def test_a_deflated_transfer_syntax_is_refused_whatever_it_holds() -> None:
    dataset = Dataset()
    dataset.PatientID = "X"
    with pytest.raises(MalformedInstance, match="cannot be walked"):
        walk_dataset(encode(dataset, EXPLICIT), uid.DeflatedExplicitVRLittleEndian)


SQ_OPEN = b"\x08\x00\x40\x11SQ\0\0\xff\xff\xff\xff"
SQ_OF_8 = b"\x08\x00\x40\x11SQ\0\0\x08\0\0\0"
ITEM_OPEN, ITEM_OF_0 = b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\0\0\0\0"
ITEM_END, SQ_END = b"\xfe\xff\x0d\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
PIXELS_OPEN = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (SQ_OPEN + b"\xfe\xff\x00\xe0\x10\0\0\0" + SQ_END, "runs past its sequence"),
        (SQ_OF_8 + b"\xfe\xff\x00\xe0\x01\0\0\0" + bytes(8), "runs past its sequence"),
        (SQ_OPEN + ITEM_OF_0 + b"\xfe\xff\xdd\xe0\x02\0\0\0", "with a length of 2"),
        (SQ_OF_8 + SQ_END, "where nothing is open"),
        (SQ_OPEN + ITEM_OPEN + SQ_END + ITEM_END, "does not belong"),
        (PIXELS_OPEN + ITEM_OF_0 + ITEM_OPEN + ITEM_END + SQ_END, "without a length"),
        (SQ_OPEN + b"\x08\x00\x50\x11UI\0\0" + SQ_END, "where an item should start"),
        (b"\x08\x00\x60\x00CS\xff", "cut off"),
        (b"\x08\x00\x40\x11SQ\0\0", "cut off"),
        (b"\x08\x00\x40\x11SQ\0\0\0\0\0", "cut off"),
        (b"\x08\x00\x40\x11SQ\0\0\4\0\0\0" + ITEM_OF_0[:4], "cut off"),
        (b"\x08\x00\x40\x11SQ\0\0\x10\0\0\0" + ITEM_OF_0, "runs past its end"),
        (b"\x10\x00\x10\x00UT\0\0\xff\xff\xff\xff" + SQ_END, "which its VR does not allow"),
        (SQ_OPEN + ITEM_OPEN, "never closed"),
    ],
)
def test_a_made_up_data_set_that_contradicts_itself_is_refused(encoded: bytes, words: str) -> None:
    assert is_accepted(SQ_OPEN + ITEM_OPEN + ITEM_END + ITEM_OF_0 + SQ_END, EXPLICIT)
    assert is_accepted(PIXELS_OPEN + ITEM_OF_0 + SQ_END, EXPLICIT)
    with pytest.raises(MalformedInstance, match=words):
        walk_dataset(encoded, EXPLICIT)


def test_file_meta_inside_a_data_set_is_refused() -> None:
    transfer_syntax_element = b"\x02\x00\x10\x00UI\x12\x00" + b"1.2.840.10008.1.2\0"
    with pytest.raises(MalformedInstance, match="does not belong"):
        walk_dataset(transfer_syntax_element, EXPLICIT)


def test_the_message_names_the_byte(shared: Path) -> None:
    (path,) = misc_files(shared, "CT_d7ed60")
    encoded = data_set_bytes(path)
    with pytest.raises(MalformedInstance, match=r"byte 38648: \(FFFC,FFFC\) of 126 bytes runs past its end"):
        walk_dataset(bytes(1000) + encoded[:-1], transfer_syntax(path), start=1000)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200), syntax=st.sampled_from([EXPLICIT, IMPLICIT, BIG, uid.RLELossless]))
def test_any_bytes_are_walked_or_refused(data: bytes, syntax: uid.UID) -> None:
    assert is_accepted(data, syntax) in (True, False)
