"""Reads a kept file into a data set, by the walk that admitted it: several times pydicom's speed, its values."""

from __future__ import annotations

import mmap
import os
from functools import cached_property

from pydicom import dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.tag import BaseTag

from node.archive.file_head import AnnouncedInstance, decode_file_head
from node.archive.header import RawElements, character_set_of, raw_elements
from node.archive.outline import Outline, OutlineReader
from node.archive.walk import Element, Encoded, Encoding, encoding_of
from node.errors import MalformedInstance

_CLASS_UID, _INSTANCE_UID, _SYNTAX_UID = (BaseTag(tag) for tag in (0x00020002, 0x00020003, 0x00020010))
_BEGINNING_BYTES = 16 << 10  # the head of a file, and most headers
_PIXELS = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))


def read_dataset(path: str, outlines: OutlineReader, *, pixels: bool) -> Dataset:
    """Return a data set as pydicom reads it, up to its pixel data or with it; `outlines` knows those read before.

    Pixel data stay in the file until they are asked for. Raises MalformedInstance for a received instance that is
    torn.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = _read_kept(path, descriptor, outlines, pixels=pixels)
    finally:
        os.close(descriptor)
    return dcmread(path, stop_before_pixels=not pixels) if found is None else found


def _read_kept(path: str, descriptor: int, outlines: OutlineReader, *, pixels: bool) -> Dataset | None:
    """Return what the walk finds; None for a result, which another library wrote, and for what only pydicom reads."""
    beginning = os.pread(descriptor, _BEGINNING_BYTES, 0)
    try:
        announced, start = decode_file_head(beginning)
    except MalformedInstance:
        return None
    syntax, size = announced.transfer_syntax_uid, os.fstat(descriptor).st_size
    outline = outlines.recognise(beginning, syntax, start, size)
    if outline is not None:
        return _dataset_of(path, announced, outline, beginning, pixels=pixels)
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as encoded:
        return _dataset_of(path, announced, outlines.read(encoded, syntax, start), encoded, pixels=pixels)


def _dataset_of(
    path: str, announced: AnnouncedInstance, outline: Outline, encoded: Encoded, *, pixels: bool
) -> Dataset | None:
    encoding = encoding_of(announced.transfer_syntax_uid)
    tail = outline.tail if pixels else ()
    if any(_is_odd(element, encoding) for element in (*outline.opened, *tail)):
        return None
    found = outline.head | raw_elements(encoded, encoding, tail, left=_PIXELS)
    return KeptDataset.of(path, announced, found, encoding)


def _is_odd(element: Element, encoding: Encoding) -> bool:
    """Tell whether only pydicom knows how pydicom reads it: a sequence that calls itself UN, pixels without a VR."""
    if element.tag in _PIXELS:
        return (element.vr is None) is not encoding.is_implicit
    return element.is_open and element.vr == b"UN"


class KeptDataset(Dataset):
    """What pydicom's FileDataset is, as far as it matters, for a fraction of what that takes.

    Its file meta information is made for who asks for it: that takes as long as all the rest.
    """

    transfer_syntax_uid: str
    _announced: AnnouncedInstance

    @classmethod
    def of(cls, path: str, announced: AnnouncedInstance, found: RawElements, encoding: Encoding) -> KeptDataset:
        """Return the data set of a file, of which these elements were found."""
        dataset = cls(found)
        dataset.set_original_encoding(encoding.is_implicit, encoding.is_little, character_set_of(found))
        # Not by assignment, where pydicom looks for keywords. It looks for pixels in the file.
        vars(dataset).update(
            _announced=announced,
            transfer_syntax_uid=announced.transfer_syntax_uid,
            filename=path,
            fileobj_type=open,
            buffer=None,
            timestamp=None,
        )
        return dataset

    @cached_property
    def file_meta(self) -> FileMetaDataset:  # type: ignore[override] # an attribute there; what is assigned goes before it
        """Return what the file's head states of the instance."""
        stated = {
            _CLASS_UID: self._announced.sop_class_uid,
            _INSTANCE_UID: self._announced.sop_instance_uid,
            _SYNTAX_UID: self._announced.transfer_syntax_uid,
        }
        return FileMetaDataset({tag: _uid_element(tag, value.encode("ascii")) for tag, value in stated.items()})


def _uid_element(tag: BaseTag, value: bytes) -> RawDataElement:
    return RawDataElement(tag, "UI", len(value), value, 0, False, True)
