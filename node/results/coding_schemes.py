"""Codes that no standard defines: a result that uses any says who is responsible for them."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom.dataset import Dataset

from node.results.header import MANUFACTURER


def name_private_schemes(result: Dataset) -> None:
    """State the responsible organization of every private coding scheme used anywhere (PS3.3 C.12.1.1.1)."""
    designators = {str(item.get("CodingSchemeDesignator", "")) for item in _items(result)}
    schemes = []
    for designator in sorted(name for name in designators if name.startswith("99")):
        scheme = Dataset()
        scheme.CodingSchemeDesignator = designator
        scheme.CodingSchemeResponsibleOrganization = MANUFACTURER
        schemes.append(scheme)
    if schemes:
        result.CodingSchemeIdentificationSequence = schemes


def _items(parent: Dataset) -> Iterator[Dataset]:
    for element in parent:
        if element.VR == "SQ":
            for item in element.value:
                yield item
                yield from _items(item)
