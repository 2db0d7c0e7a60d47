"""The header that the walk leaves behind: as pydicom reads the file, without what is too long to hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from dcmtk import data_set_bytes, transfer_syntax
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.archive.file_head import AnnouncedInstance, encode_file_head
from node.archive.header import header_of as header_out_of
from node.archive.header import prove_readable, read_study
from node.archive.outline import OutlineReader
from node.archive.walk import encoding_of
from node.errors import MalformedInstance

pytestmark = pytest.mark.filterwarnings("ignore")

EXPLICIT = "1.2.840.10008.1.2.1"


def header_of(encoded: bytes, syntax: str) -> Dataset:
    head = encode_file_head(AnnouncedInstance("1.2", "1.3", syntax))
    outline = OutlineReader(is_admitting=True).read(head + encoded, syntax, len(head))
    return header_out_of(outline.head, encoding_of(syntax))


def test_the_header_of_every_real_file_is_what_pydicom_reads(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "data" / "dicom_misc").glob("*.dcm")):
        encoded, syntax = data_set_bytes(path), transfer_syntax(path)
        try:
            found = header_of(encoded, syntax)
        except MalformedInstance:
            continue
        expected = dcmread(path, stop_before_pixels=True)
        left_out = [element.tag for element in expected if element.tag not in found]
        assert all(tag > 0x7FE00010 or len(expected.get_item(tag).value) > 65_536 for tag in left_out), path.name
        for tag in left_out:
            del expected[tag]
        assert list(found.keys()) == list(expected.keys()), path.name
        assert all(repr(found[tag].value) == repr(expected[tag].value) for tag in list(expected.keys())), path.name
        compared += 1
    assert compared > 150


def test_a_document_inside_an_instance_is_not_read_into_the_header() -> None:
    encoded = b"\x08\x00\x60\x00CS\x02\x00CT" + b"\x42\x00\x11\x00OB\0\0\x00\x00\x10\x00" + bytes(1 << 20)
    assert [element.tag for element in header_of(encoded, EXPLICIT)] == [0x00080060]


def test_nothing_from_the_pixel_data_on_is_in_the_header() -> None:
    encoded = (
        b"\x08\x00\x60\x00CS\x02\x00CT" + b"\xe0\x7f\x10\x00OW\0\0\2\0\0\0\1\2" + b"\xfc\xff\xfc\xffOB\0\0\2\0\0\0\0\0"
    )
    assert [element.tag for element in header_of(encoded, EXPLICIT)] == [0x00080060]


def test_a_character_set_with_a_zero_byte_is_refused() -> None:
    with pytest.raises(MalformedInstance, match="header cannot be read"):
        header_of(b"\x08\x00\x05\x00CS\x06\x00IS\0_IR" + b"\x08\x00\x60\x00CS\x02\x00CT", EXPLICIT)


def test_a_character_set_of_another_vr_is_refused() -> None:
    with pytest.raises(MalformedInstance, match="found VR CZ, expected CS"):
        header_of(b"\x08\x00\x05\x00CZ\x0a\x00ISO_IR 100", EXPLICIT)


def test_a_birth_date_of_a_vr_that_nobody_knows_is_refused() -> None:
    header = header_of(b"\x10\x00\x30\x00ZZ\x08\x0019700101", EXPLICIT)
    with pytest.raises(MalformedInstance, match="header cannot be read"):
        read_study(header)


def test_an_item_that_pydicom_takes_otherwise_than_the_walk_is_refused(tmp_path: Path) -> None:
    (found,) = (Path(__file__).parent / "found").glob("item_read_otherwise*")
    kept = tmp_path / "kept"
    announced = AnnouncedInstance("1.2", "1.2.3", "1.2.840.10008.1.2.2")
    kept.write_bytes(encode_file_head(announced) + found.read_bytes())
    with kept.open("rb") as file, pytest.raises(MalformedInstance, match="header cannot be read"):
        prove_readable(file)


def test_a_disk_that_fails_while_the_header_is_read_is_no_fault_of_the_instance() -> None:
    with Path("/proc/self/mem").open("rb", buffering=0) as failing, pytest.raises(OSError, match="Input/output error"):
        prove_readable(failing)
