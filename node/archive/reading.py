"""Reads a kept file into a data set, by the walk that admitted it: several times pydicom's speed, its values."""

from __future__ import annotations

import mmap
import os

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from node.archive.file_head import MOST_HEAD_BYTES, AnnouncedInstance, decode_file_head
from node.archive.header import RawElements, character_set_of, raw_elements
from node.archive.outline import OutlineReader
from node.archive.walk import Element, Encoding, encoding_of
from node.errors import MalformedInstance

_CLASS_UID, _INSTANCE_UID, _SYNTAX_UID = (BaseTag(tag) for tag in (0x00020002, 0x00020003, 0x00020010))
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def read_dataset(path: str, outlines: OutlineReader, *, pixels: bool) -> Dataset:
    """Return a data set as pydicom reads it, up to its pixel data or with it; `outlines` knows those read before.

    Pixel data stay in the file until they are asked for. Raises MalformedInstance for a received instance that is
    torn.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = _decode_head(descriptor)
        found = None if head is None else _read_kept(path, descriptor, head, outlines, pixels=pixels)
    finally:
        os.close(descriptor)
    return dcmread(path, stop_before_pixels=not pixels) if found is None else found


def _decode_head(descriptor: int) -> tuple[AnnouncedInstance, int] | None:
    """Return what the head of a file states, and its length; None for a result, which another library wrote."""
    try:
        return decode_file_head(os.pread(descriptor, MOST_HEAD_BYTES, 0))
    except MalformedInstance:
        return None


def _read_kept(
    path: str, descriptor: int, head: tuple[AnnouncedInstance, int], outlines: OutlineReader, *, pixels: bool
) -> Dataset | None:
    """Return what the walk finds, None for what only pydicom knows how it reads it."""
    announced, start = head
    encoding = encoding_of(announced.transfer_syntax_uid)
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as encoded:
        outline = outlines.read(encoded, announced.transfer_syntax_uid, start)
        tail = outline.tail if pixels else ()
        if any(_is_odd(element, encoding) for element in (*outline.opened, *tail)):
            return None
        found = outline.head | raw_elements(encoded, encoding, tail, left=_PIXELS)
    return _dataset(path, announced, found, encoding)


def _is_odd(element: Element, encoding: Encoding) -> bool:
    """Tell whether only pydicom knows how pydicom reads it: a sequence that calls itself UN, pixels without a VR."""
    if element.tag in _PIXELS:
        return (element.vr is None) is not encoding.is_implicit
    return element.is_open and element.vr == b"UN"


def _dataset(path: str, announced: AnnouncedInstance, found: RawElements, encoding: Encoding) -> Dataset:
    """Return what pydicom's FileDataset is, as far as it matters, for a fraction of what that takes."""
    dataset = Dataset(found)
    dataset.file_meta = _file_meta(announced)
    dataset.set_original_encoding(encoding.is_implicit, encoding.is_little, character_set_of(found))
    # Where pydicom looks for pixels that are still in the file.
    dataset.filename, dataset.fileobj_type, dataset.buffer, dataset.timestamp = path, open, None, None
    return dataset


def _file_meta(announced: AnnouncedInstance) -> FileMetaDataset:
    stated = {
        _CLASS_UID: announced.sop_class_uid,
        _INSTANCE_UID: announced.sop_instance_uid,
        _SYNTAX_UID: announced.transfer_syntax_uid,
    }
    return FileMetaDataset({tag: _uid_element(tag, value.encode("ascii")) for tag, value in stated.items()})


def _uid_element(tag: BaseTag, value: bytes) -> RawDataElement:
    return RawDataElement(tag, "UI", len(value), value, 0, False, True)
