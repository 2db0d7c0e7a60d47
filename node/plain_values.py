"""Reads header values that are plainly written, in a fraction of pydicom's time; what is not goes to pydicom."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException
from pydicom.tag import BaseTag

# Printable ASCII without backslash and tilde is the same text in every character set of PS3.3 C.12.1.1.2.
_TEXT = re.compile(rb"[ -\[\]-}]*\0?")
_TEXTS = re.compile(rb"[ -}]*\0?")
_DECIMAL = rb" *[+-]?(?:[0-9]{1,16}\.?[0-9]{0,16}|\.[0-9]{1,16})(?:[eE][+-]?[0-9]{1,2})? *"
_DECIMALS = re.compile(_DECIMAL + rb"(?:\\" + _DECIMAL + rb")*\0?")
_INTEGER = rb" *[+-]?[0-9]{1,9} *"
_INTEGERS = re.compile(_INTEGER + rb"(?:\\" + _INTEGER + rb")*\0?")
_UIDS = re.compile(rb"[0-9.]+(?:\\[0-9.]+)*[\0 ]?")  # of anything else pydicom strips spaces
_PADDING = b"\0 "
_LONGEST_OFTEN_MET = 64

# A tag of one number is mostly the same object each time, which dictionaries find without comparing.
tag_of = lru_cache(maxsize=4096)(BaseTag)

# What pydicom raises on a value that is not of its VR.
UNREADABLE = (
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    NotImplementedError,
    EOFError,
    BytesLengthException,
    struct.error,
)


class _Attribute(NamedTuple):
    keyword: str
    tag: BaseTag
    vr: str


def read_value(header: Dataset, keyword: str) -> Any:
    """Return the value of an attribute, None where there is none.

    Text, numbers and lists of them equal what pydicom reads, but are not of its types. Raises one of
    UNREADABLE for a value that is not of its VR.
    """
    attribute = _attribute(keyword)
    element = header.get_item(attribute.tag, keep_deferred=True)
    return None if element is None else _value_of(header, attribute, element)


def read_values(header: Dataset, keywords: tuple[str, ...]) -> dict[str, Any]:
    """Return what `read_value` does of those of many attributes that are there, by keyword, in one pass.

    A value that is not of its VR is left out.
    """
    found = {}
    attributes = _by_tag(keywords)
    for tag, element in header.items():
        if (attribute := attributes.get(tag)) is not None:
            try:
                found[attribute.keyword] = _value_of(header, attribute, element)
            except UNREADABLE:
                continue
    return found


def read_text(header: Dataset, keyword: str) -> str:
    """Return a value as text, empty where there is none."""
    value = read_value(header, keyword)
    return "" if value is None else str(value)


def transfer_syntax_of(dataset: Dataset) -> str | None:
    """Return the transfer syntax that a data set lies in, None where nothing states it.

    One that knows it without file meta information (node/archive/reading.py) need not make that to tell.
    """
    meta: Dataset | None = vars(dataset).get("file_meta")
    syntax: str | None = vars(dataset).get("transfer_syntax_uid")
    return syntax if meta is None else read_value(meta, "TransferSyntaxUID")


@cache
def _attribute(keyword: str) -> _Attribute:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return _Attribute(keyword, tag_of(tag), dictionary_VR(tag))


@cache
def _by_tag(keywords: tuple[str, ...]) -> Mapping[int, _Attribute]:
    return {attribute.tag: attribute for attribute in map(_attribute, keywords)}


def _value_of(header: Dataset, attribute: _Attribute, element: object) -> Any:
    if isinstance(element, RawDataElement) and element.VR in (None, attribute.vr) and element.value:
        decode = _decode_often_met if len(element.value) <= _LONGEST_OFTEN_MET else _decode
        decoded = decode(attribute.vr, element.value, element.is_little_endian)
        if decoded is not None:
            return list(decoded) if isinstance(decoded, list) else decoded
    return header[attribute.tag].value


def _decode(vr: str, encoded: bytes, is_little: bool) -> Any:
    """Return the value of an element, None where pydicom has to look at it."""
    decode = _DECODE.get(vr)
    return None if decode is None else decode(encoded, is_little)


# The instances of a series share most of their values; what is kept of them are some hundred kilobytes.
_decode_often_met = lru_cache(maxsize=4096)(_decode)


def _text(encoded: bytes, _is_little: bool) -> str | None:
    return encoded.rstrip(_PADDING).decode("ascii") if _TEXT.fullmatch(encoded) else None


def _name(encoded: bytes, is_little: bool) -> str | None:
    return None if b"=" in encoded else _text(encoded, is_little)


def _texts(encoded: bytes, _is_little: bool) -> Any:
    if not _TEXTS.fullmatch(encoded) or b" \\" in encoded:
        return None
    return _one_or_all(encoded.rstrip(_PADDING).decode("ascii").split("\\"))


def _uids(encoded: bytes, is_little: bool) -> Any:
    return _texts(encoded, is_little) if _UIDS.fullmatch(encoded) else None


def _decimals(encoded: bytes, _is_little: bool) -> Any:
    if not _DECIMALS.fullmatch(encoded):
        return None
    return _one_or_all([float(number) for number in encoded.rstrip(_PADDING).split(b"\\")])


def _integers(encoded: bytes, _is_little: bool) -> Any:
    if not _INTEGERS.fullmatch(encoded):
        return None
    return _one_or_all([int(number) for number in encoded.rstrip(_PADDING).split(b"\\")])


def _short(encoded: bytes, is_little: bool) -> int | None:
    return int(struct.unpack("<H" if is_little else ">H", encoded)[0]) if len(encoded) == 2 else None


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


_DECODE: Mapping[str, Callable[[bytes, bool], Any]] = {
    **dict.fromkeys(("AS", "DA", "DT", "LO", "SH", "TM"), _text),
    "CS": _texts,
    "UI": _uids,
    "PN": _name,
    "DS": _decimals,
    "IS": _integers,
    "US": _short,
}
