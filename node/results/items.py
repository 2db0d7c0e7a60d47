"""The items of a result's sequences, as far as they say what it refers to and where it lies.

A result in a volume has thousands of them. Where they lie as they were written they are read from there, for
data sets of all would take longer than encoding the result; anything else is read by pydicom.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from node.explicit_vr import LONG_VRS, SHORT_VRS

_KEYWORDS = (
    "CodeValue",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "ReferencedFrameNumber",
    "ReferencedSOPClassUID",
    "ReferencedSOPInstanceUID",
    "SeriesInstanceUID",
    "StudyInstanceUID",
    "UID",
)
_WANTED = {tag_for_keyword(keyword): keyword for keyword in _KEYWORDS}

_ELEMENT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<L")
_ITEM = struct.Struct("<HHL")
_ITEM_TAG = (0xFFFE, 0xE000)
_MAYBE_SEQUENCES = frozenset(("SQ", "UN", None))


@dataclass(frozen=True)
class Item:
    """The values of an item that matter here, as text by keyword, and its sequences by tag.

    Several values of an attribute are one text with a backslash between them.
    """

    values: dict[str, str] = field(default_factory=dict)
    sequences: dict[int, list[Item]] = field(default_factory=dict)

    def items(self, keyword: str) -> list[Item]:
        """Return the items of a sequence, none where there is no such sequence."""
        return self.sequences.get(tag_for_keyword(keyword) or 0, [])

    def below(self, but: str = "") -> Iterator[Item]:
        """Give the items of all sequences, or of all but one; not those within them."""
        left_out = tag_for_keyword(but)
        for tag, items in self.sequences.items():
            if tag != left_out:
                yield from items


def item_of(dataset: Dataset) -> Item:
    """Return what an item, or a result as a whole, says."""
    item = Item()
    for held in dataset.elements():
        keyword = _WANTED.get(held.tag)
        written = _read_items(held) if held.VR == "SQ" else None
        if written is not None:
            item.sequences[held.tag] = written
        elif keyword is not None or held.VR in _MAYBE_SEQUENCES:
            _add(item, keyword, dataset[held.tag])
    return item


def _add(item: Item, keyword: str | None, element: DataElement) -> None:
    if element.VR == "SQ":
        item.sequences[element.tag] = [item_of(inner) for inner in element.value]
    elif keyword is not None:
        item.values[keyword] = _text(element.value)


def _text(value: object) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue) else str(value)


class _Otherwise(Exception):
    """What is written otherwise than we write it."""


def _read_items(held: DataElement | RawDataElement) -> list[Item] | None:
    """Return the items of a sequence in Explicit VR Little Endian whose parts all state their lengths, else None."""
    if not isinstance(held, RawDataElement) or held.is_implicit_VR or not held.is_little_endian:
        return None
    try:
        return _items(held.value or b"", 0, len(held.value or b""))
    except (_Otherwise, struct.error, UnicodeDecodeError):
        return None


def _items(encoded: bytes, at: int, end: int) -> list[Item]:
    items = []
    while at < end:
        *tag, length = _ITEM.unpack_from(encoded, at)
        at += _ITEM.size + length
        if tuple(tag) != _ITEM_TAG or at > end:
            raise _Otherwise
        items.append(_item(encoded, at - length, at))
    return items


def _item(encoded: bytes, at: int, end: int) -> Item:
    item = Item()
    while at < end:
        group, number, vr, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if vr not in SHORT_VRS:
            if vr == b"UN" or vr not in LONG_VRS:  # what is of VR UN may be a sequence
                raise _Otherwise
            (length,) = _LENGTH.unpack_from(encoded, at)
            at += _LENGTH.size
        at += length
        if at > end:
            raise _Otherwise
        tag = group << 16 | number
        if vr == b"SQ":
            item.sequences[tag] = _items(encoded, at - length, at)
        elif (keyword := _WANTED.get(tag)) is not None:
            item.values[keyword] = encoded[at - length : at].rstrip(b" \0").decode("ascii")
    return item
