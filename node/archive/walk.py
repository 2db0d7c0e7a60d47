"""Walks an encoded data set from tag to tag, so that only what ends exactly where it says is kept."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from struct import Struct
from typing import NamedTuple

from pydicom import uid
from pydicom._dicom_dict import DicomDictionary

from node.errors import MalformedInstance
from node.explicit_vr import LONG_VRS, SHORT_VRS

DEPTH_LIMIT = 32
ELEMENT_LIMIT = 65_536  # outermost ones; what the walk remembers of them must not grow with the data set

UNDEFINED = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
SHORTEST_ELEMENT_BYTES = 8
LONGEST_ELEMENT_HEAD_BYTES = 12  # before the value of an element

_CHUNK_BYTES = 1 << 20

_ITEM_GROUP = 0xFFFE
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Groups of commands, file meta, directories and items, which no data set holds (PS3.5 7.1).
_FOREIGN_GROUPS = frozenset((0x0000, 0x0002, 0x0004, 0x0006, _ITEM_GROUP))

_FRAGMENTED_VRS = frozenset((b"OB", b"OW"))
_SEQUENCE_TAGS = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

# By whether the bytes are little endian: group, number and length; group, number, VR and short length; a length.
_IMPLICIT = {True: Struct("<HHL").unpack_from, False: Struct(">HHL").unpack_from}
_EXPLICIT = {True: Struct("<HH2sH").unpack_from, False: Struct(">HH2sH").unpack_from}
_LONG = {True: Struct("<L").unpack_from, False: Struct(">L").unpack_from}

Encoded = bytes | memoryview | mmap.mmap


class Element(NamedTuple):
    """An element: its tag, its VR (None in implicit VR), where its value starts, the value's length in bytes.

    A value `is_open` when its length was undefined; its delimiter is not counted.
    """

    tag: int
    vr: bytes | None
    value_at: int
    length: int
    is_open: bool = False


class Encoding(NamedTuple):
    """How a transfer syntax writes elements (PS3.5 A)."""

    is_implicit: bool
    is_little: bool


class _Kind(Enum):
    """What a stretch of the data set is made of."""

    ELEMENTS = auto()
    ITEMS = auto()
    FRAGMENTS = auto()


@dataclass(slots=True)
class _Frame:
    """A data set, a sequence or encapsulated pixel data that the walk is inside of.

    `end` is where it must end, or, while `is_open` (undefined length), where it must end at the
    latest. `is_un` marks a sequence written as UN, whose items are implicit VR little endian
    (PS3.5 6.2.2, note 4).
    """

    kind: _Kind
    end: int
    is_open: bool
    is_implicit: bool
    is_little: bool
    is_un: bool = False
    last_tag: int = 0


def walk_dataset(encoded: Encoded, transfer_syntax_uid: str, start: int = 0) -> list[Element]:
    """Return the elements of the outermost data set, having checked all of it.

    Checked is that every element, item and fragment lies within what holds it, that undefined
    lengths are closed, that tags ascend and that the last element ends with the last byte
    (PS3.5 7.1, 7.5, A.4). No value is decoded. Raises MalformedInstance with the offset, in bytes
    from `start`, of what is wrong.
    """
    return _Walk(encoded, encoding_of(transfer_syntax_uid), start).run()


def is_sequence(element: Element) -> bool:
    """Tell whether an element of defined length is made of items."""
    return element.vr == b"SQ" or (element.vr is None and element.tag in _SEQUENCE_TAGS)


def read_element(encoded: Encoded, at: int, encoding: Encoding) -> Element:
    """Return the element, item or delimiter at an offset where eight bytes are; it may be cut off."""
    read = _read_implicit if encoding.is_implicit else _read_explicit
    return Element(*read(encoded, at, encoding.is_little))


@lru_cache(maxsize=64)
def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Return how elements are written; raises MalformedInstance for a syntax that cannot be walked."""
    syntax = uid.UID(transfer_syntax_uid)
    if not syntax.is_transfer_syntax or syntax.is_deflated:
        raise MalformedInstance(f"transfer syntax {syntax} cannot be walked; send it uncompressed instead")
    return Encoding(syntax.is_implicit_VR, syntax.is_little_endian)


class _Walk:
    """One pass over one encoded data set."""

    def __init__(self, encoded: Encoded, encoding: Encoding, start: int) -> None:
        self._encoded = encoded
        self._start = start
        self._at = start
        self._found: list[Element] = []
        self._stack = [_Frame(_Kind.ELEMENTS, len(encoded), False, *encoding)]

    def run(self) -> list[Element]:
        """Walk to the end; a loop and a list, so that no depth of nesting can exhaust the stack."""
        while self._stack:
            frame = self._stack[-1]
            if self._at == frame.end:
                if frame.is_open:
                    raise self._malformed("an undefined length is never closed")
                self._stack.pop()
            elif frame.kind is _Kind.ELEMENTS:
                self._walk_elements(frame)
            else:
                self._walk_item(frame)
        return self._found

    def _walk_elements(self, frame: _Frame) -> None:
        """Go from element to element until one is entered or the data set ends.

        This loop sees every element of every instance before its sender is answered, so what it needs is in
        local names.
        """
        encoded, end, at = self._encoded, frame.end, self._at
        is_outermost, read = len(self._stack) == 1, _read_implicit if frame.is_implicit else _read_explicit
        while at != end:
            self._at = at
            if at + 8 > end:
                raise self._malformed("an element is cut off")
            tag, vr, value_at, length = read(encoded, at, frame.is_little)
            if value_at > end:
                raise self._malformed("an element is cut off")
            if tag <= frame.last_tag or tag >> 16 in _FOREIGN_GROUPS:
                self._leave(frame, tag, length)
                return
            frame.last_tag = tag
            if is_outermost:
                self._note(Element(tag, vr, value_at, length))
            if length == UNDEFINED or vr == b"SQ" or (vr is None and tag in _SEQUENCE_TAGS):
                self._enter(frame, Element(tag, vr, value_at, length))
                return
            at = value_at + length
            if at > end:
                raise self._malformed(f"{_name(tag)} of {length} bytes runs past its end")
        self._at = at

    def _note(self, element: Element) -> None:
        if len(self._found) == ELEMENT_LIMIT:
            raise self._malformed(f"more than {ELEMENT_LIMIT} elements")
        self._found.append(element)

    def _leave(self, frame: _Frame, tag: int, length: int) -> None:
        """End a data set at a delimiter or at padding; anything else out of order is wrong."""
        if tag == _ITEM_END:
            self._close(frame, tag, length)
        elif tag == 0 and len(self._stack) == 1 and self._is_padding():
            self._at = frame.end
        elif tag >> 16 in _FOREIGN_GROUPS:
            raise self._malformed(f"{_name(tag)} does not belong in a data set")
        else:
            raise self._malformed(f"{_name(tag)} comes after {_name(frame.last_tag)}")

    def _is_padding(self) -> bool:
        """Tell whether only zero bytes follow, as some archives leave behind the last element."""
        chunks = range(self._at, len(self._encoded), _CHUNK_BYTES)
        return not any(bytes(self._encoded[at : at + _CHUNK_BYTES]).strip(b"\0") for at in chunks)

    def _walk_item(self, frame: _Frame) -> None:
        """Step over the start of an item, over a whole fragment, or over the end of the sequence."""
        at = self._at
        if at + 8 > frame.end:
            raise self._malformed("an element is cut off")
        group, number, length = _IMPLICIT[frame.is_little](self._encoded, at)
        tag = group << 16 | number
        if tag == _SEQUENCE_END:
            self._close(frame, tag, length)
            return
        if tag != _ITEM:
            raise self._malformed(f"{_name(tag)} where an item should start")
        is_open = length == UNDEFINED
        end = frame.end if is_open else at + 8 + length
        if end > frame.end:
            raise self._malformed(f"an item of {length} bytes runs past its sequence")
        if frame.kind is _Kind.ITEMS:
            self._stack.append(
                _Frame(_Kind.ELEMENTS, end, is_open, self._item_is_implicit(frame, at + 8), frame.is_little)
            )
            self._at = at + 8
        elif is_open:
            raise self._malformed("a fragment of pixel data without a length")
        else:
            self._at = end

    def _item_is_implicit(self, frame: _Frame, at: int) -> bool:
        """Tell how an item is encoded; some writers put explicit VR into a sequence of VR UN."""
        if not frame.is_un:
            return frame.is_implicit
        vr = bytes(self._encoded[at + 4 : at + 6])
        return vr not in LONG_VRS and vr not in SHORT_VRS

    def _enter(self, frame: _Frame, element: Element) -> None:
        """Go into a sequence or pixel data."""
        is_open, is_un, kind = element.length == UNDEFINED, False, _Kind.ITEMS
        if is_open:
            is_un = element.vr == b"UN"
            is_pixels = element.tag == PIXEL_DATA
            if element.vr in _FRAGMENTED_VRS or (is_pixels and element.vr is None):
                kind = _Kind.FRAGMENTS
            elif is_pixels or element.vr not in (None, b"SQ", b"UN"):
                name = _name(element.tag)
                raise self._malformed(f"{name} has an undefined length, which its VR does not allow")
        end = frame.end if is_open else element.value_at + element.length
        if end > frame.end:
            raise self._malformed(f"{_name(element.tag)} of {element.length} bytes runs past its end")
        if kind is _Kind.ITEMS and len(self._stack) > 2 * DEPTH_LIMIT:
            raise self._malformed(f"sequences are nested more than {DEPTH_LIMIT} deep")
        self._stack.append(_Frame(kind, end, is_open, frame.is_implicit, frame.is_little or is_un, is_un))
        self._at = element.value_at

    def _close(self, frame: _Frame, tag: int, length: int) -> None:
        """Leave what a delimiter ends; it must be open, and the delimiter empty (PS3.5 7.5.2)."""
        if not frame.is_open:
            raise self._malformed(f"{_name(tag)} where nothing is open")
        if length != 0:
            raise self._malformed(f"{_name(tag)} with a length of {length}")
        self._stack.pop()
        if len(self._stack) == 1:
            entered = self._found[-1]
            self._found[-1] = entered._replace(length=self._at - entered.value_at, is_open=True)
        self._at += 8

    def _malformed(self, what: str) -> MalformedInstance:
        return MalformedInstance(f"data set, byte {self._at - self._start}: {what}")


def _read_implicit(encoded: Encoded, at: int, is_little: bool) -> tuple[int, bytes | None, int, int]:
    """Return tag, no VR, where the value starts, and its length; eight bytes are there."""
    group, number, length = _IMPLICIT[is_little](encoded, at)
    return group << 16 | number, None, at + 8, length


def _read_explicit(encoded: Encoded, at: int, is_little: bool) -> tuple[int, bytes | None, int, int]:
    """Return tag, VR, where the value starts, and its length; eight bytes are there.

    VR bytes that are no letters mean implicit VR, as pydicom holds. A length that is cut off is that of a
    value without an end.
    """
    group, number, vr, length = _EXPLICIT[is_little](encoded, at)
    tag = group << 16 | number
    if group == _ITEM_GROUP:
        return _read_implicit(encoded, at, is_little)
    if vr in SHORT_VRS:
        return tag, vr, at + 8, length
    if vr in LONG_VRS:
        is_whole = at + 12 <= len(encoded)
        return tag, vr, at + 12, _LONG[is_little](encoded, at + 8)[0] if is_whole else len(encoded)
    if vr.isalpha() and vr.isupper():
        return tag, vr, at + 8, length
    return _read_implicit(encoded, at, is_little)


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
