"""Walks an encoded data set from tag to tag, so that only what ends exactly where it says is kept."""

from __future__ import annotations

import mmap
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from struct import Struct

from pydicom import uid
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import tag_for_keyword

from node.errors import MalformedInstance

DEPTH_LIMIT = 32

_CHUNK_BYTES = 1 << 20
_WANTED_BYTES = 128

_UNDEFINED = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# Groups of commands, file meta, directories and items, which no data set holds (PS3.5 7.1).
_FOREIGN_GROUPS = frozenset((0x0000, 0x0002, 0x0004, 0x0006, 0xFFFE))
_PIXEL_DATA = tag_for_keyword("PixelData")

_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_SHORT_VRS = frozenset(
    (b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH")
) | frozenset((b"SL", b"SS", b"ST", b"TM", b"UI", b"UL", b"US"))
_FRAGMENTED_VRS = frozenset((b"OB", b"OW"))
_SEQUENCE_TAGS = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")

Encoded = bytes | memoryview | mmap.mmap


class _Kind(Enum):
    """What a stretch of the data set is made of."""

    ELEMENTS = auto()
    ITEMS = auto()
    FRAGMENTS = auto()


@dataclass
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


@dataclass(frozen=True)
class _Element:
    """A tag with its VR (None in implicit VR), its length and where its value starts."""

    tag: int
    vr: bytes | None
    length: int
    value_at: int


def walk_dataset(
    encoded: Encoded, transfer_syntax_uid: str, start: int = 0, wanted: Collection[int] = ()
) -> dict[int, bytes]:
    """Return the `wanted` values of the outermost data set, cut to 128 bytes, having checked all of it.

    Checked is that every element, item and fragment lies within what holds it, that undefined
    lengths are closed, that tags ascend and that the last element ends with the last byte
    (PS3.5 7.1, 7.5, A.4). No value is decoded. Raises MalformedInstance with the offset, in bytes
    from `start`, of what is wrong.
    """
    return _Walk(encoded, transfer_syntax_uid, start, frozenset(wanted)).run()


class _Walk:
    """One pass over one encoded data set."""

    def __init__(self, encoded: Encoded, transfer_syntax_uid: str, start: int, wanted: frozenset[int]) -> None:
        syntax = uid.UID(transfer_syntax_uid)
        if not syntax.is_transfer_syntax or syntax.is_deflated:
            raise MalformedInstance(f"transfer syntax {syntax} cannot be walked; send it uncompressed instead")
        self._encoded = encoded
        self._start = start
        self._at = start
        self._wanted = wanted
        self._found: dict[int, bytes] = {}
        self._stack = [_Frame(_Kind.ELEMENTS, len(encoded), False, syntax.is_implicit_VR, syntax.is_little_endian)]

    def run(self) -> dict[int, bytes]:
        """Walk to the end; a loop and a list, so that no depth of nesting can exhaust the stack."""
        while self._stack:
            frame = self._stack[-1]
            if self._at == frame.end:
                if frame.is_open:
                    raise self._malformed("an undefined length is never closed")
                self._stack.pop()
            elif len(self._stack) == 1 and self._is_padding():
                self._at = frame.end
            elif frame.kind is _Kind.ELEMENTS:
                self._walk_element(frame)
            else:
                self._walk_item(frame)
        return self._found

    def _is_padding(self) -> bool:
        """Tell whether only zero bytes follow, as some archives leave behind the last element."""
        if bytes(self._encoded[self._at : self._at + 8]) != bytes(8):
            return False
        chunks = range(self._at, len(self._encoded), _CHUNK_BYTES)
        return not any(bytes(self._encoded[at : at + _CHUNK_BYTES]).strip(b"\0") for at in chunks)

    def _walk_element(self, frame: _Frame) -> None:
        element = self._read_element(frame)
        if element.tag == _ITEM_END:
            self._close(frame, element)
            return
        self._check_order(frame, element.tag)
        if element.length == _UNDEFINED:
            self._enter_undefined(frame, element)
            return
        end = element.value_at + element.length
        if end > frame.end:
            raise self._malformed(f"{_name(element.tag)} of {element.length} bytes runs past its end")
        if element.vr == b"SQ" or (element.vr is None and element.tag in _SEQUENCE_TAGS):
            self._enter(frame, _Kind.ITEMS, end, element.value_at)
            return
        if element.tag in self._wanted and len(self._stack) == 1:
            self._found[element.tag] = bytes(
                self._encoded[element.value_at : min(end, element.value_at + _WANTED_BYTES)]
            )
        self._at = end

    def _walk_item(self, frame: _Frame) -> None:
        """Step over the start of an item, over a whole fragment, or over the end of the sequence."""
        at = self._at
        tag, length = self._read_tag(frame), self._read_length(frame, at + 4)
        if tag == _SEQUENCE_END:
            self._close(frame, _Element(tag, None, length, at + 8))
            return
        if tag != _ITEM:
            raise self._malformed(f"{_name(tag)} where an item should start")
        is_open = length == _UNDEFINED
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
        return vr not in _LONG_VRS and vr not in _SHORT_VRS

    def _enter_undefined(self, frame: _Frame, element: _Element) -> None:
        if element.tag == _PIXEL_DATA or element.vr in _FRAGMENTED_VRS:
            self._enter(frame, _Kind.FRAGMENTS, None, element.value_at)
        elif element.vr in (None, b"SQ", b"UN"):
            self._enter(frame, _Kind.ITEMS, None, element.value_at)
            self._stack[-1].is_un = element.vr == b"UN"
            self._stack[-1].is_little |= element.vr == b"UN"
        else:
            raise self._malformed(f"{_name(element.tag)} has an undefined length, which its VR does not allow")

    def _enter(self, frame: _Frame, kind: _Kind, end: int | None, value_at: int) -> None:
        """Go into a sequence or pixel data; `end` is None when its length is undefined."""
        if kind is _Kind.ITEMS and len(self._stack) > 2 * DEPTH_LIMIT:
            raise self._malformed(f"sequences are nested more than {DEPTH_LIMIT} deep")
        is_open = end is None
        self._stack.append(_Frame(kind, frame.end if end is None else end, is_open, frame.is_implicit, frame.is_little))
        self._at = value_at

    def _close(self, frame: _Frame, delimiter: _Element) -> None:
        """Leave what a delimiter ends; it must be open, and the delimiter empty (PS3.5 7.5.2)."""
        if not frame.is_open:
            raise self._malformed(f"{_name(delimiter.tag)} where nothing is open")
        if delimiter.length != 0:
            raise self._malformed(f"{_name(delimiter.tag)} with a length of {delimiter.length}")
        self._stack.pop()
        self._at += 8

    def _check_order(self, frame: _Frame, tag: int) -> None:
        if tag >> 16 in _FOREIGN_GROUPS:
            raise self._malformed(f"{_name(tag)} does not belong in a data set")
        if tag <= frame.last_tag:
            raise self._malformed(f"{_name(tag)} comes after {_name(frame.last_tag)}")
        frame.last_tag = tag

    def _read_element(self, frame: _Frame) -> _Element:
        """Read tag, VR and length; VR bytes that are no letters mean implicit VR, as pydicom holds."""
        at, tag = self._at, self._read_tag(frame)
        if frame.is_implicit or tag >> 16 == 0xFFFE:
            return _Element(tag, None, self._read_length(frame, at + 4), at + 8)
        vr = bytes(self._encoded[at + 4 : at + 6])
        if vr in _LONG_VRS:
            return _Element(tag, vr, self._read_length(frame, at + 8), at + 12)
        if vr in _SHORT_VRS or (vr.isalpha() and vr.isupper()):
            return _Element(tag, vr, _SHORT[frame.is_little].unpack_from(self._encoded, at + 6)[0], at + 8)
        return _Element(tag, None, self._read_length(frame, at + 4), at + 8)

    def _read_tag(self, frame: _Frame) -> int:
        if self._at + 8 > frame.end:
            raise self._malformed("an element is cut off")
        group, number = _TAG[frame.is_little].unpack_from(self._encoded, self._at)
        return int(group) << 16 | int(number)

    def _read_length(self, frame: _Frame, at: int) -> int:
        if at + 4 > frame.end:
            raise self._malformed("an element is cut off")
        return int(_LONG[frame.is_little].unpack_from(self._encoded, at)[0])

    def _malformed(self, what: str) -> MalformedInstance:
        return MalformedInstance(f"data set, byte {self._at - self._start}: {what}")


_TAG = {True: Struct("<HH"), False: Struct(">HH")}
_SHORT = {True: Struct("<H"), False: Struct(">H")}
_LONG = {True: Struct("<L"), False: Struct(">L")}


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
