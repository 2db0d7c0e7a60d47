"""Lists of instances that a result refers to, as they are written.

A report on a series lists all of it. Made of data sets, such lists would be most of the time that reports take.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.charset import convert_encodings
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag

from node.explicit_vr import element, sequence, sequence_value
from node.plain_values import read_text


def instance_reference(instance: Dataset) -> bytes:
    """Return the attributes that name an instance (PS3.3 Table 10-11)."""
    return _uid(0x00081150, instance, "SOPClassUID") + _uid(0x00081155, instance, "SOPInstanceUID")


def state_referenced_series(result: Dataset, sources: Sequence[Dataset]) -> None:
    """List the sources, each once, under their series (PS3.3 C.12.2)."""
    state_sequence(result, "ReferencedSeriesSequence", _series(0x0008114A, sources))


def state_evidence(report: Dataset, evidence: Sequence[Dataset]) -> None:
    """List what a report refers to or was made from, all of its own study, under its series (PS3.3 C.17.2)."""
    series = sequence(0x00081115, *_series(0x00081199, evidence))
    study = series + _uid(0x0020000D, evidence[0], "StudyInstanceUID")
    state_sequence(report, "CurrentRequestedProcedureEvidenceSequence", [study])


def state_sequence(result: Dataset, keyword: str, items: Sequence[bytes]) -> None:
    """Give a result a sequence of encoded items, which pydicom writes as they are while nothing in it is changed.

    Pixel data must have their VR by then: pydicom looks for none in what was written once.
    """
    tag, value = BaseTag(tag_for_keyword(keyword) or 0), sequence_value(items)
    result[tag] = RawDataElement(tag, "SQ", len(value), value, 0, False, True)
    result.set_original_encoding(False, True, convert_encodings(result.SpecificCharacterSet))


def _series(references_tag: int, instances: Sequence[Dataset]) -> list[bytes]:
    """Return an item per series, in the order in which the first instance of each comes: its references, its UID."""
    members: dict[str, list[Dataset]] = {}
    for instance in instances:
        members.setdefault(read_text(instance, "SeriesInstanceUID"), []).append(instance)
    return [
        sequence(references_tag, *map(instance_reference, found)) + _uid(0x0020000E, found[0], "SeriesInstanceUID")
        for found in members.values()
    ]


def _uid(tag: int, instance: Dataset, keyword: str) -> bytes:
    return element(tag, b"UI", read_text(instance, keyword).encode("ascii"))
