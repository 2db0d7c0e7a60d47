"""The walk over real files: pydicom is the oracle for what is in them, and no beginning of one is taken for whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from dcmtk import data_set_bytes, misc_files, transfer_syntax
from pydicom import dcmread
from pydicom.dataset import Dataset

from node.archive.walk import walk_dataset
from node.errors import MalformedInstance

# What dicom_misc holds that must not be kept, and why.
REFUSED = {
    "CT_477f51_GH179A.dcm": "a VR of two blanks, at which pydicom runs past the end",
    "CT_94b8cb_licitVRLittleEndianTransferSyntax_1.2.840.10008.1.2.1.99.dcm": "deflated",
    "MR_ed1df4_emri_small_jpeg_2k_lossless_too_short.dcm": "cut off within the pixel data",
    "MR_f48e6f_GH1339.dcm": "cut off within the pixel data",
    "OT_d9a30e_6.dcm": "deflated",
    "US_6b5a8c_GH364.dcm": "an item outside any sequence",
}


def is_accepted(encoded: bytes | memoryview, transfer_syntax_uid: str) -> bool:
    try:
        walk_dataset(encoded, transfer_syntax_uid)
    except MalformedInstance:
        return False
    return True


def test_every_real_file_that_ends_where_it_says_is_accepted(shared: Path) -> None:
    files = sorted((shared / "data" / "dicom_misc").glob("*.dcm"))
    refused = {path.name for path in files if not is_accepted(data_set_bytes(path), transfer_syntax(path))}
    assert refused == set(REFUSED)
    assert len(files) > 150


@pytest.mark.parametrize(
    "name",
    ["RTDOSE_18193f", "RTDOSE_6a5a43", "SR_24ff90", "MR_661904"],
)
def test_every_beginning_of_a_data_set_that_cuts_an_element_is_refused(shared: Path, name: str) -> None:
    (path,) = misc_files(shared, name)
    encoded, syntax = memoryview(data_set_bytes(path)), transfer_syntax(path)
    whole = [length for length in range(len(encoded)) if is_accepted(encoded[:length], syntax)]
    assert len(whole) == len(dcmread(path))  # between two outermost elements nothing is cut


def plain_values(read: Dataset) -> dict[int, bytes]:
    """Return how pydicom read what is no sequence and has a length, as it lies in the file."""
    raw = {int(tag): read.get_item(tag) for tag in list(read.keys())}
    values = {tag: element.value for tag, element in raw.items() if getattr(element, "length", 0) != 0xFFFFFFFF}
    return {tag: value for tag, value in values.items() if isinstance(value, bytes) and read[tag].VR != "SQ"}


@pytest.mark.filterwarnings("ignore")
def test_the_walk_finds_the_elements_that_pydicom_finds(shared: Path) -> None:
    compared = 0
    for path in sorted((shared / "data" / "dicom_misc").glob("*.dcm")):
        encoded, syntax = data_set_bytes(path), transfer_syntax(path)
        if len(encoded) < 1_000_000 and is_accepted(encoded, syntax):
            expected = plain_values(dcmread(path))
            walked = {tag: encoded[at : at + length] for tag, _, at, length, _ in walk_dataset(encoded, syntax)}
            assert {tag: walked[tag] for tag in expected} == expected, path.name
            compared += 1
    assert compared > 100
