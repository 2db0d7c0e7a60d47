"""The outline of a data set: the elements before its pixel data, undecoded, and where the rest lies.

The headers of a series differ in a few values. What a header has in common with the one before, byte for byte,
was walked then and is not walked again.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import NamedTuple

from node.archive.header import (
    CHARACTER_SET,
    FIRST_PIXEL_TAG,
    RawElements,
    before_pixels,
    prove_readable,
    raw_elements,
    without_long_values,
)
from node.archive.walk import (
    LONGEST_ELEMENT_HEAD_BYTES,
    PIXEL_DATA,
    SHORTEST_ELEMENT_BYTES,
    UNDEFINED,
    Element,
    Encoded,
    Encoding,
    encoding_of,
    is_sequence,
    read_element,
    walk_dataset,
)
from node.errors import MalformedInstance

# A header longer than this is not remembered, for each association has a memory of its own.
LONGEST_REMEMBERED_BYTES = 64 << 10

_ITEM_END_BYTES = 8


class Outline(NamedTuple):
    """A data set that was walked to its end.

    `head` are the elements before the pixel data, `tail` the pixel data and what follows them. `opened` are those of
    the head that are of undefined length, unless such a header was read before.
    """

    head: RawElements
    tail: Sequence[Element]
    opened: Sequence[Element] = ()


class OutlineReader:
    """Walks data sets one after the other, and remembers what the headers have in common."""

    def __init__(self, *, is_admitting: bool) -> None:
        """Begin without a memory; one reader is for one thread.

        When it `is_admitting` what comes from outside, it leaves values out that are too long for a header, and proves
        that pydicom can read what it has not seen before.
        """
        self._is_admitting = is_admitting
        self._last: _Header | None = None
        self._pattern: _Pattern | None = None

    def read(self, encoded: Encoded, transfer_syntax_uid: str, start: int) -> Outline:
        """Walk a data set that begins at `start`.

        Raises MalformedInstance as `walk_dataset` does, and when admitting as `prove_readable` does.
        """
        pattern = self._pattern_in(transfer_syntax_uid)
        outline = None if pattern is None else pattern.match(encoded, start)
        if outline is not None:
            return outline
        elements = walk_dataset(encoded, transfer_syntax_uid, start)
        head = before_pixels(elements)
        opened = [element for element in head if element.is_open]
        if self._is_admitting and opened:
            prove_readable(encoded if isinstance(encoded, mmap.mmap) else BytesIO(encoded))
        self._remember(_Header.of(encoded, transfer_syntax_uid, start, head))
        kept = without_long_values(head) if self._is_admitting else head
        raw = raw_elements(encoded, encoding_of(transfer_syntax_uid), kept)
        return Outline(raw, elements[len(head) :], opened)

    def recognise(self, beginning: bytes, transfer_syntax_uid: str, start: int, size: int) -> Outline | None:
        """Return what `read` would for a data set of which only the beginning of its `size` bytes is at hand.

        None for another header than those before, and for anything but a frame of native pixel data behind it.
        """
        pattern = self._pattern_in(transfer_syntax_uid)
        return None if pattern is None else pattern.match_beginning(beginning, start, size)

    def _pattern_in(self, transfer_syntax_uid: str) -> _Pattern | None:
        pattern = self._pattern
        return pattern if pattern is not None and pattern.transfer_syntax_uid == transfer_syntax_uid else None

    def _remember(self, header: _Header | None) -> None:
        """Compare a header with the last one, so that the next is known by what they have in common."""
        last, self._last = self._last, header
        varying = self._pattern.varying if self._pattern is not None else frozenset()
        self._pattern = None
        if header is not None and last is not None and header.is_like(last):
            varying |= header.differences(last)
            if not header.is_odd_in(varying):
                self._pattern = _Pattern(header, varying)


@dataclass(frozen=True)
class _Header:
    """The bytes before the pixel data, and their elements; `starts` are offsets in the bytes, the end's the last."""

    transfer_syntax_uid: str
    encoded: bytes
    elements: Sequence[Element]
    starts: Sequence[int]

    @classmethod
    def of(cls, encoded: Encoded, transfer_syntax_uid: str, start: int, head: Sequence[Element]) -> _Header | None:
        """Return a header as it is remembered, None for one that is too long, or that pydicom reads in its own way."""
        starts = [0, *(_end_of(element) - start for element in head)]
        if starts[-1] > LONGEST_REMEMBERED_BYTES or any(one.is_open and one.vr == b"UN" for one in head):
            return None
        elements = [element._replace(value_at=element.value_at - start) for element in head]
        return cls(transfer_syntax_uid, bytes(encoded[start : start + starts[-1]]), elements, starts)

    def is_like(self, other: _Header) -> bool:
        """Tell whether both have the same elements, whatever their values."""
        return self.transfer_syntax_uid == other.transfer_syntax_uid and self._tags() == other._tags()

    def differences(self, other: _Header) -> frozenset[int]:
        """Return which elements, by their places, do not have the same bytes in a header like this."""
        return frozenset(place for place in range(len(self.elements)) if self.bytes_of(place) != other.bytes_of(place))

    def bytes_of(self, place: int) -> bytes:
        """Return an element with its tag, VR and length."""
        return self.encoded[self.starts[place] : self.starts[place + 1]]

    def is_odd_in(self, varying: frozenset[int]) -> bool:
        """Tell whether one of these elements says how others are read, or cannot be read by its length alone."""
        is_implicit = encoding_of(self.transfer_syntax_uid).is_implicit
        return any(
            one.is_open or one.tag == CHARACTER_SET or (one.vr is None) is not is_implicit
            for one in (self.elements[place] for place in varying)
        )

    def _tags(self) -> list[int]:
        return [element.tag for element in self.elements]


class _Run(NamedTuple):
    """Elements that were the same in every header, and the bytes they are written in."""

    encoded: bytes
    raw: RawElements


class _Pattern:
    """What headers like one another have in common: runs of equal bytes, and elements that differ between them."""

    def __init__(self, header: _Header, varying: frozenset[int]) -> None:
        self.transfer_syntax_uid = header.transfer_syntax_uid
        self.varying = varying
        self._encoding = encoding_of(header.transfer_syntax_uid)
        self._pieces = list(_pieces_of(header, varying, self._encoding))

    def match(self, encoded: Encoded, start: int) -> Outline | None:
        """Return what the walk would find; None for another header, or for anything that is not as it should be."""
        known = self._match_head(encoded, start)
        if known is None:
            return None
        head, at = known
        try:
            tail = walk_dataset(encoded, self.transfer_syntax_uid, at)
        except MalformedInstance:
            return None  # the whole walk says where
        return None if tail and tail[0].tag < FIRST_PIXEL_TAG else Outline(head, tail)

    def match_beginning(self, beginning: bytes, start: int, size: int) -> Outline | None:
        """Return the same where the rest, that is not at hand, is the values of native pixel data and nothing else."""
        known = self._match_head(beginning, start)
        if known is None:
            return None
        head, at = known
        if at + LONGEST_ELEMENT_HEAD_BYTES > len(beginning):
            return None
        found = read_element(beginning, at, self._encoding)
        is_native = found.tag == PIXEL_DATA and found.length != UNDEFINED and not is_sequence(found)
        return Outline(head, (found,)) if is_native and found.value_at + found.length == size else None

    def _match_head(self, encoded: Encoded, start: int) -> tuple[RawElements, int] | None:
        """Return the elements before the pixel data and where they end, None for another header."""
        head: RawElements = {}
        at = start
        for piece in self._pieces:
            if isinstance(piece, _Run):
                end = at + len(piece.encoded)
                if bytes(encoded[at:end]) != piece.encoded:
                    return None
                head.update(piece.raw)
            else:
                found = self._read_like(piece, encoded, at)
                if found is None:
                    return None
                head.update(raw_elements(encoded, self._encoding, (found,)))
                end = found.value_at + found.length
            at = end
        return head, at

    def _read_like(self, known: Element, encoded: Encoded, at: int) -> Element | None:
        """Return the element at an offset, None if it is another than in the headers before, too long, or not whole."""
        if at + SHORTEST_ELEMENT_BYTES > len(encoded):
            return None
        found = read_element(encoded, at, self._encoding)
        end = found.value_at + found.length
        is_another = (found.tag, found.vr) != (known.tag, known.vr)
        # Who admits has to leave long values out; an undefined length is a long one too.
        if is_another or found.length > LONGEST_REMEMBERED_BYTES or end > len(encoded):
            return None
        if is_sequence(found) and not _is_whole(bytes(encoded[at:end]), self.transfer_syntax_uid):
            return None
        return found


def _pieces_of(header: _Header, varying: frozenset[int], encoding: Encoding) -> Iterator[_Run | Element]:
    """Give the runs of a header, and between them the elements whose values differ."""
    first = 0
    for place in (*sorted(varying), len(header.elements)):
        if first < place:
            same = header.encoded[header.starts[first] : header.starts[place]]
            yield _Run(same, raw_elements(header.encoded, encoding, header.elements[first:place]))
        if place < len(header.elements):
            yield header.elements[place]
        first = place + 1


def _is_whole(encoded: bytes, transfer_syntax_uid: str) -> bool:
    try:
        return len(walk_dataset(encoded, transfer_syntax_uid)) == 1
    except MalformedInstance:
        return False


def _end_of(element: Element) -> int:
    return element.value_at + element.length + (_ITEM_END_BYTES if element.is_open else 0)
