"""Plain values: what is read without pydicom is what pydicom reads."""

from __future__ import annotations

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.plain_values import read_text, read_value
from node.studies.header import INDEXED_KEYWORDS

pytestmark = pytest.mark.filterwarnings("ignore")

IDENTITY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "AccessionNumber")
KEYWORDS = [k for k in (*INDEXED_KEYWORDS, *IDENTITY, "StudyDate", "SOPClassUID") if not k.endswith("Sequence")]
# Pieces of which values are likely to be written, and what makes them odd.
PIECES = st.sampled_from(
    [b"1", b"23", b"4.5", b"-", b"+", b".", b"e2", b"E-3", b" ", b"\\", b"\0", b"^", b"=", b"CT", b"AXIAL", b"\xe4",
     b"\x1b$)C", b"~", b"nan", b"inf", b"1_0", b"1,5", b"20261120", b"/", b"\n", b"99999999999", b"1e999"]
)  # fmt: skip
WRITTEN = st.one_of(st.lists(PIECES, max_size=6).map(b"".join), st.binary(max_size=12))
CHARACTER_SETS = (b"", b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13 ", b"\\ISO 2022 IR 149", b"GB18030 ")


def encode(number: int, vr: str, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return struct.pack("<HH2sH", number >> 16, number & 0xFFFF, vr.encode(), len(value)) + value


def data_set(keyword: str, written: bytes, character_set: bytes) -> Dataset:
    number = tag_for_keyword(keyword)
    assert number is not None
    encoded = encode(0x00080005, "CS", character_set) + encode(number, dictionary_VR(number), written)
    return dcmread(BytesIO(encoded), force=True)


def plain(value: Any) -> Any:
    """Return a value of pydicom's as the types it stands for; nothing and no text are alike."""
    if isinstance(value, MultiValue | list):
        return [plain(each) for each in value]
    if value is None or value == "":
        return None
    if isinstance(value, int):
        return int(value)
    return float(value) if isinstance(value, float) else str(value)


def outcome(read: Any) -> Any:
    try:
        return repr(plain(read()))
    except Exception as error:  # noqa: BLE001 - which error it is is what is compared
        return type(error)


@settings(deadline=None)
@given(keyword=st.sampled_from(KEYWORDS), written=WRITTEN, character_set=st.sampled_from(CHARACTER_SETS))
def test_whatever_is_written_is_read_as_pydicom_reads_it(keyword: str, written: bytes, character_set: bytes) -> None:
    expected = outcome(lambda: data_set(keyword, written, character_set)[keyword].value)
    assert outcome(lambda: read_value(data_set(keyword, written, character_set), keyword)) == expected


def test_every_value_of_every_real_file_is_read_as_pydicom_reads_it(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "data" / "dicom_misc").glob("*.dcm")):
        ours, theirs = dcmread(path, stop_before_pixels=True), dcmread(path, stop_before_pixels=True)
        for tag in list(theirs.keys()):
            keyword = keyword_for_tag(tag)
            if keyword and tag_for_keyword(keyword) == tag and dictionary_VR(tag) != "SQ":
                expected = outcome(lambda theirs=theirs, tag=tag: theirs[tag].value)
                assert outcome(lambda ours=ours, keyword=keyword: read_value(ours, keyword)) == expected, keyword
                compared += 1
    assert compared > 5_000


def test_what_is_absent_is_none_and_as_text_empty() -> None:
    assert read_value(Dataset(), "PatientID") is None
    assert read_text(Dataset(), "PatientID") == ""
