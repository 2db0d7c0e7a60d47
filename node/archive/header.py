"""The header of an instance out of what the walk found: nothing is parsed twice, pixels are not touched."""

from __future__ import annotations

import mmap
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import BinaryIO

from pydicom import dcmread
from pydicom.charset import convert_encodings
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.values import convert_string

from node.archive.walk import UNDEFINED, Element, Encoded, Encoding
from node.errors import MalformedInstance
from node.plain_values import UNREADABLE, tag_of
from node.vocabulary import StudyIdentity, study_identity

# Rules and completion look at nothing longer; an encapsulated document must not fill the memory.
_LONGEST_VALUE_BYTES = 64 << 10
_LONGEST_SEQUENCE_BYTES = 16 << 20
_MAYBE_SEQUENCES = frozenset((b"SQ", b"UN", None))

RawElements = dict[BaseTag, DataElement | RawDataElement]

FIRST_PIXEL_TAG = 0x7FE00008  # float, double and integer pixel data follow each other (PS3.6)
CHARACTER_SET = tag_of(0x00080005)


def header_of(raw: RawElements, encoding: Encoding) -> Dataset:
    """Return elements as a data set, their values undecoded.

    Raises MalformedInstance for a character set that pydicom breaks on, such as one with a zero byte: no
    later step could read the instance.
    """
    header = Dataset(raw)
    header.set_original_encoding(encoding.is_implicit, encoding.is_little, character_set_of(raw))
    return header


def without_long_values(elements: Iterable[Element]) -> Iterable[Element]:
    """Leave out what is too long to matter in a header."""
    return (element for element in elements if element.length <= _most_bytes(element))


def raw_elements(
    encoded: Encoded, encoding: Encoding, elements: Iterable[Element], left: Collection[int] = ()
) -> RawElements:
    """Return elements as pydicom holds them before anybody decodes their values, by tag.

    The values of tags in `left` are left where they are; pydicom knows then to look into the file.
    """
    found: RawElements = {}
    for tag, vr, at, length, is_open in elements:
        is_left = tag in left
        value = bytes(encoded[at : at + length]) if length and not is_left else None
        stated = UNDEFINED if is_left and is_open else length
        name = vr.decode("ascii") if vr else None
        key = tag_of(tag)
        found[key] = RawDataElement(key, name, stated, value, at, encoding.is_implicit, encoding.is_little)
    return found


def character_set_of(raw: RawElements) -> list[str]:
    """Return Python's names of the encodings of a data set's text; raises MalformedInstance as `header_of` does."""
    stated = raw.get(CHARACTER_SET)
    if stated is not None and stated.VR not in (None, "CS"):
        raise MalformedInstance(f"SpecificCharacterSet: found VR {stated.VR}, expected CS; correct it at the sender")
    return list(_character_set(stated.value or b"") if stated else ("iso8859",))


def read_study(header: Dataset) -> StudyIdentity:
    """Return the study that a header states.

    Raises MalformedInstance where its values break pydicom, such as a birth date of a VR that nobody knows: a
    node that finds such an instance at its start could not start.
    """
    try:
        return study_identity(header)
    except UNREADABLE as error:
        raise _unreadable(error) from error


def before_pixels(elements: Sequence[Element]) -> Sequence[Element]:
    """Return the elements that precede the pixel data."""
    for place, element in enumerate(elements):
        if element.tag >= FIRST_PIXEL_TAG:
            return elements[:place]
    return elements


def prove_readable(file: BinaryIO | mmap.mmap) -> None:
    """Read a whole file's header with pydicom; raises MalformedInstance where that breaks.

    Needed only where an outermost sequence has no length: pydicom reads such a one at once, and may take an
    item otherwise than the walk did.
    """
    try:
        dcmread(file, stop_before_pixels=True)  # type: ignore[arg-type]
    except (*UNREADABLE, OSError) as error:
        if getattr(error, "errno", None) is not None:
            raise  # the disk's, where pydicom's own has no number
        raise _unreadable(error) from error


def _most_bytes(element: Element) -> int:
    return _LONGEST_SEQUENCE_BYTES if element.vr in _MAYBE_SEQUENCES else _LONGEST_VALUE_BYTES


@lru_cache(maxsize=64)
def _character_set(encoded: bytes) -> tuple[str, ...]:
    """Return Python's names of the encodings that a Specific Character Set states (PS3.3 C.12.1.1.2)."""
    try:
        return tuple(convert_encodings(convert_string(encoded, is_little_endian=True)))
    except UNREADABLE as error:
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> MalformedInstance:
    return MalformedInstance(f"data set: its header cannot be read ({type(error).__name__}); correct it at the sender")
