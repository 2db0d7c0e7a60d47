"""Reads a kept file into a data set, by the walk that admitted it: several times pydicom's speed, its values."""

from __future__ import annotations

import mmap
from pathlib import Path

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.tag import BaseTag

from node.archive.file_head import MOST_HEAD_BYTES, AnnouncedInstance, decode_file_head
from node.archive.header import RawElements, character_set_of, raw_elements
from node.archive.outline import OutlineReader
from node.archive.walk import Element, Encoding, encoding_of
from node.errors import MalformedInstance

_CLASS_UID, _INSTANCE_UID, _SYNTAX_UID = (BaseTag(tag) for tag in (0x00020002, 0x00020003, 0x00020010))
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def read_dataset(path: Path, outlines: OutlineReader, *, pixels: bool) -> Dataset:
    """Return a data set as pydicom reads it, up to its pixel data or with it; `outlines` knows those read before.

    Pixel data stay in the file until they are asked for. Raises MalformedInstance for a received instance that is
    torn.
    """
    with path.open("rb") as file:
        try:
            announced, start = decode_file_head(file.read(MOST_HEAD_BYTES))
        except MalformedInstance:  # a result, which another library wrote
            return dcmread(path, stop_before_pixels=not pixels)
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as encoded:
            outline = outlines.read(encoded, announced.transfer_syntax_uid, start)
            tail = outline.tail if pixels else ()
            encoding = encoding_of(announced.transfer_syntax_uid)
            if not any(_is_odd(element, encoding) for element in (*outline.opened, *tail)):
                found = outline.head | raw_elements(encoded, encoding, tail, left=_PIXELS)
                return _dataset(path, announced, found, encoding)
    return dcmread(path, stop_before_pixels=not pixels)


def _is_odd(element: Element, encoding: Encoding) -> bool:
    """Tell whether only pydicom knows how pydicom reads it: a sequence that calls itself UN, pixels without a VR."""
    if element.tag in _PIXELS:
        return (element.vr is None) is not encoding.is_implicit
    return element.is_open and element.vr == b"UN"


def _dataset(path: Path, announced: AnnouncedInstance, found: RawElements, encoding: Encoding) -> Dataset:
    dataset = FileDataset(
        path,
        found,
        file_meta=_file_meta(announced),
        is_implicit_VR=encoding.is_implicit,
        is_little_endian=encoding.is_little,
    )
    dataset.set_original_encoding(encoding.is_implicit, encoding.is_little, character_set_of(found))
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
