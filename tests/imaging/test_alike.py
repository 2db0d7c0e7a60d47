"""What is read once for headers that are alike is what each of them says, whatever it is that they share."""

from __future__ import annotations

from collections.abc import Callable
from inspect import unwrap
from io import BytesIO
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from volumes import ct_study

from node.errors import StudyRefused
from node.imaging import decoding, geometry, native, slices
from node.imaging.alike import once_if_alike

READERS: dict[str, Callable[..., Any]] = {
    "plane": geometry._read_but_position,
    "grey": slices._read_grey,
    "depth": decoding.check_depth,
    "layout": native._read_layout,
    "kind": slices._read_kind,
}
# Each says something else than `undecoded` does, or cannot be used.
OTHERS = {
    "BitsAllocated": b"\x08\0",
    "BitsStored": b"\x0c\0",
    "Columns": b"\x02\0",
    "ConcatenationUID": b"1.2.3.8\0",
    "FrameOfReferenceUID": b"1.2.3.9\0",
    "FrameType": b"DERIVED ",
    "GantryDetectorTilt": b"9 ",
    "HighBit": b"\x0b\0",
    "ImageOrientationPatient": b"0\\1\\0\\1\\0\\0 ",
    "ImageType": b"DERIVED\\SECONDARY ",
    "Modality": b"MR",
    "NumberOfFrames": b"2 ",
    "PhotometricInterpretation": b"RGB ",
    "PixelRepresentation": b"\x01\0",
    "PixelSpacing": b"3\\3 ",
    "RescaleIntercept": b"-5",
    "RescaleSlope": b"3 ",
    "RescaleType": b"US",
    "Rows": b"\x03\0",
    "SOPClassUID": b"1.2.840.10008.5.1.4.1.1.4\0",
    "SeriesInstanceUID": b"1.2.3.7\0",
    "SamplesPerPixel": b"\x03\0",
}


def undecoded() -> Dataset:
    """Return a header as it is read from a file, with the attributes that readers look at."""
    made = ct_study(slices=1, shape=(4, 4), NumberOfFrames=1, GantryDetectorTilt=1)[0]
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


def changed(header: Dataset, keyword: str, encoded: bytes | None) -> Dataset:
    """Return a header that shares every element but one, which is another or, without a value, absent."""
    elements = dict(header.items())
    tag = Tag(keyword)
    elements.pop(tag, None)
    if encoded is not None:
        elements[tag] = RawDataElement(tag, dictionary_VR(tag), len(encoded), encoded, 0, False, True)
    other = Dataset(dict(sorted(elements.items())))
    other.file_meta = header.file_meta
    return other


def said(read: Callable[..., Any], header: Dataset) -> str:
    """Return what a reader says or refuses, in words that can be compared."""
    others = ("a slice",) if "name" in read.__annotations__ else ()
    try:
        answer = read(header, *others)
    except StudyRefused as refusal:
        return f"{type(refusal).__name__}: {refusal}"
    return f"{answer.func.__name__} {answer.keywords}" if hasattr(answer, "keywords") else repr(answer)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("keyword", OTHERS)
def test_an_attribute_that_differs_is_never_taken_from_the_header_before(name: str, keyword: str) -> None:
    read, header = READERS[name], undecoded()
    afresh = unwrap(read)
    for other in (changed(header, keyword, OTHERS[keyword]), changed(header, keyword, None), header):
        assert said(read, header) == said(afresh, header)
        assert said(read, other) == said(afresh, other)


def test_every_attribute_changed_above_matters_to_a_reader() -> None:
    header = undecoded()
    for keyword, encoded in OTHERS.items():
        others = [changed(header, keyword, encoded), changed(header, keyword, None)]
        assert any(
            said(unwrap(read), other) != said(unwrap(read), header)
            for read in READERS.values()
            for other in others
        ), keyword


def test_headers_that_are_alike_are_read_once() -> None:
    seen: list[Dataset] = []

    @once_if_alike("Rows")
    def rows(header: Dataset) -> int:
        seen.append(header)
        element = header.get_item("Rows")
        assert isinstance(element, RawDataElement)
        assert element.value is not None
        return element.value[0]

    first = undecoded()
    assert [rows(first), rows(changed(first, "Columns", b"\x09\0")), rows(first)] == [4, 4, 4]
    assert seen == [first]
    assert [rows(changed(first, "Rows", b"\x09\0")), rows(first)] == [9, 4]
    assert len(seen) == 3


def test_headers_that_are_alike_in_what_they_lack_are_read_once() -> None:
    seen: list[bool] = []

    @once_if_alike("PatientName")
    def is_named(header: Dataset) -> bool:
        seen.append("PatientName" in header)
        return seen[-1]

    nameless = changed(undecoded(), "PatientName", None)
    assert [is_named(nameless), is_named(changed(nameless, "Rows", None))] == [False, False]
    assert seen == [False]


def test_an_element_that_was_decoded_is_read_each_time_as_it_may_have_changed() -> None:
    header = undecoded()
    assert header.RescaleSlope == 1
    assert slices._read_grey(header).slope == 1
    header["RescaleSlope"].value = 2
    assert slices._read_grey(header).slope == 2

    @once_if_alike("RescaleSlope")
    def slope(header: Dataset) -> float:
        return float(header.RescaleSlope)

    assert slope(header) == 2
    header["RescaleSlope"].value = 3
    assert slope(header) == 3
