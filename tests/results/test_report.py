"""Each report is the document that highdicom's own constructor makes of all its content and evidence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from results.conclusion_requests import ON_EVERYTHING, on_series
from results.image_requests import candidate_request, map_request, refinement_request, small_mr
from results.lung_requests import nothing_found, two_lungs
from results.test_predecessors import EARLIER
from results.volume_requests import ORIENTATIONS, enhanced_series, mr_series, two_sides

from node.results.coding_schemes import name_private_schemes
from node.results.encode import encode_results
from node.results.header import creation_arguments, encoding_source, state_origin
from node.results.predecessors import REPORT_CLASSES, predecessors_of
from node.results.report import finish_report
from node.results.request import ResultKind, ResultRequest

ROOT = ("ConceptNameCodeSequence", "ContentSequence", "ContentTemplateSequence", "ContinuityOfContent", "ValueType")
KINDS = {
    ResultKind.MEASUREMENT_REPORT,
    ResultKind.CONTOUR_REPORT,
    ResultKind.CONCLUSION_REPORT,
    ResultKind.FRAME_REPORT,
    ResultKind.TEXT_REPORT,
}

REQUESTS: dict[str, Callable[[Path], ResultRequest]] = {
    "two_lungs": two_lungs,
    "nothing_found": nothing_found,
    "revised_lungs": lambda shared: replace(two_lungs(shared), replaces=EARLIER),
    "volume": lambda _: two_sides(mr_series(ORIENTATIONS["oblique"])),
    "enhanced_volume": lambda _: two_sides(enhanced_series(ORIENTATIONS["coronal"])),
    "candidates": lambda _: candidate_request(small_mr()),
    "map": lambda _: map_request(small_mr()),
    "refinement": lambda _: refinement_request(small_mr()),
    "conclusions_and_earlier_ones": lambda _: on_series(replaces=EARLIER),
}
REQUESTS |= {f"conclusion_on_{name}": lambda _, make=make: make() for name, make in ON_EVERYTHING.items()}


def test_every_kind_of_report_is_among_those_compared(shared: Path) -> None:
    made = [result for make in REQUESTS.values() for result in encode_results(make(shared))]
    assert {result.kind for result in made if result.sop_class_uid in REPORT_CLASSES} == KINDS


@pytest.mark.parametrize("name", REQUESTS)
def test_a_report_is_byte_for_byte_the_document_that_highdicom_makes(shared: Path, name: str) -> None:
    made = REQUESTS[name](shared)
    results = encode_results(made)
    segmentations = [dcmread(BytesIO(one.encoded)) for one in results if one.kind == ResultKind.SEGMENTATION]
    reports = [one for one in results if one.sop_class_uid in REPORT_CLASSES]
    assert reports
    for report in reports:
        evidence = [*made.evidence, *(segmentations if report.kind == ResultKind.MEASUREMENT_REPORT else [])]
        ours = part10(finish_report(made, report.kind, root_of(report.encoded), evidence))
        assert ours == part10(highdicoms_report(made, report.kind, root_of(report.encoded), evidence))
        assert ours == report.encoded


def root_of(encoded: bytes) -> Dataset:
    """Return the root container of a report, as a template makes it."""
    report, root = dcmread(BytesIO(encoded)), Dataset()
    for keyword in ROOT:
        root[keyword] = report[keyword]
    return root


def highdicoms_report(made: ResultRequest, kind: ResultKind, root: Dataset, evidence: Sequence[Dataset]) -> Dataset:
    """Return the report by highdicom, which searches the content for what the evidence must hold."""
    document = hd.sr.EnhancedSR if kind == ResultKind.TEXT_REPORT else hd.sr.Comprehensive3DSR
    report: Dataset = document(
        evidence=[encoding_source(one) for one in evidence],
        content=root,
        is_complete=True,
        previous_versions=predecessors_of(made, kind) or None,
        **creation_arguments(made, kind),
    )
    name_private_schemes(report)
    state_origin(report, made)
    return report


def part10(dataset: Dataset) -> bytes:
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
