"""Findings as sentences: an Enhanced SR that any viewer of structured reports can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.header import encoding_source
from node.results.report import PROCEDURE, finish_report, language, observation_context
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import NOT_FOR_DIAGNOSIS, Finding, Measurement

TITLE = Code("18748-4", "LN", "Diagnostic imaging study")
CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


def encode_text_report(request: ResultRequest) -> Dataset:
    """Return an Enhanced SR (TID 2000) that says what was analysed, what was found and what to note."""
    root = hd.sr.ContainerContentItem(name=TITLE, template_id="2000")
    root.ContentSequence = hd.sr.ContentSequence()
    root.ContentSequence.extend(language())
    root.ContentSequence.extend(observation_context(request))
    root.ContentSequence.append(
        hd.sr.CodeContentItem(
            name=codes.DCM.ProcedureReported,
            value=PROCEDURE,
            relationship_type=hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    for heading, item, sentences in (
        (codes.DCM.CurrentProcedureDescriptions, codes.DCM.ProcedureDescription, _procedure(request)),
        (codes.DCM.Findings, codes.DCM.Finding, _findings(request)),
    ):
        root.ContentSequence.append(_section(heading, item, sentences))
    return finish_report(request, ResultKind.TEXT_REPORT, root, [encoding_source(request.source)])


def describe_finding(finding: Finding) -> str:
    """Return the finding as a sentence, such as "Right lung: area 182.4 cm2 (at the detector)."."""
    if not finding.measurements:
        return f"{finding.label}: outlined, not measured."
    return f"{finding.label}: {', '.join(_describe_measurement(item) for item in finding.measurements)}."


def _procedure(request: ResultRequest) -> Iterator[str]:
    model = request.model
    yield f"{NOT_FOR_DIAGNOSIS}."
    yield f"Analysed by {model.title}, version {model.version} ({model.name}, SHA-256 {model.sha256[:12]})."
    yield f"Analysed image: {_name_source(request.source)}."


def _findings(request: ResultRequest) -> Iterator[str]:
    if not request.findings:
        yield f"{request.model.title} found nothing to outline in this image."
    for finding in request.findings:
        yield describe_finding(finding)
    yield from request.remarks


def _name_source(source: Dataset) -> str:
    """Return the numbers by which a viewer lists the source, or its UID when it has none."""
    series, instance = source.get("SeriesNumber"), source.get("InstanceNumber")
    if series is None or instance is None:
        return f"SOP Instance UID {source.SOPInstanceUID}"
    return f"image {instance} of series {series}"


def _describe_measurement(measurement: Measurement) -> str:
    decimals = 1 if abs(measurement.value) >= 10 else 3
    number = f"{measurement.name.meaning.lower()} {measurement.value:.{decimals}f} {measurement.unit.value}"
    return f"{number} ({measurement.method})" if measurement.method else number


def _section(heading: Code, name: Code, sentences: Iterable[str]) -> hd.sr.ContainerContentItem:
    section = hd.sr.ContainerContentItem(name=heading, relationship_type=CONTAINS)
    section.ContentSequence = hd.sr.ContentSequence(
        [hd.sr.TextContentItem(name=name, value=sentence, relationship_type=CONTAINS) for sentence in sentences]
    )
    return section
