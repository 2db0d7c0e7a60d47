"""Findings as sentences: an Enhanced SR that any viewer of structured reports can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.header import encoding_source
from node.results.report import finish_report, language, observation_context, procedure_reported
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import NOT_FOR_DIAGNOSIS, Finding, Measurement

TITLE = Code("18748-4", "LN", "Diagnostic imaging study")
UNITS_IN_TEXT = {"[hnsf'U]": "HU"}
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
            value=procedure_reported(request),
            relationship_type=hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
    )
    for heading, item, sentences in (
        (codes.DCM.CurrentProcedureDescriptions, codes.DCM.ProcedureDescription, _procedure(request)),
        (codes.DCM.Findings, codes.DCM.Finding, _findings(request)),
    ):
        root.ContentSequence.append(_section(heading, item, sentences))
    evidence = [encoding_source(source) for source in request.evidence]
    return finish_report(request, ResultKind.TEXT_REPORT, root, evidence)


def describe_finding(finding: Finding) -> str:
    """Return the finding as a sentence, such as "Right lung: area 182.4 cm2 (at the detector)."."""
    if not finding.measurements:
        return f"{finding.label}: outlined, not measured."
    return f"{finding.label}: {', '.join(_describe_measurement(item) for item in finding.measurements)}."


def name_image(source: Dataset) -> str:
    """Return the numbers by which a viewer lists the source, or its UID when it has none."""
    series, instance = source.get("SeriesNumber"), source.get("InstanceNumber")
    if series is None or instance is None:
        return f"SOP Instance UID {source.SOPInstanceUID}"
    return f"image {instance} of series {series}"


def _procedure(request: ResultRequest) -> Iterator[str]:
    model = request.model
    yield f"{NOT_FOR_DIAGNOSIS}."
    yield f"Analysed by {model.title}, version {model.version} ({model.name}, SHA-256 {model.sha256[:12]})."
    yield f"Analysed {_name_volume(request) if request.is_volume else f'image: {name_image(request.source)}'}."


def _findings(request: ResultRequest) -> Iterator[str]:
    if not request.findings:
        yield f"{request.model.title} found nothing to outline in this {'series' if request.is_volume else 'image'}."
    for finding in request.findings:
        yield describe_finding(finding)
    yield from request.remarks


def _name_volume(request: ResultRequest) -> str:
    """Return the number of the series, or its UID when it has none, and its slices."""
    assert request.grid is not None
    number = request.source.get("SeriesNumber")
    series = f"Series Instance UID {request.source.SeriesInstanceUID}" if number is None else f"series {number}"
    return f"volume: {series}, {request.grid.shape[0]} slices, {request.grid.spacing_mm[0]:.2f} mm apart"


def _describe_measurement(measurement: Measurement) -> str:
    is_coarse = abs(measurement.value) >= 10 or measurement.unit == codes.UCUM.Percent
    name = _in_sentence(measurement.name.meaning)
    if measurement.derivation is not None:
        name = f"{_in_sentence(measurement.derivation.meaning)} {name}"
    unit = UNITS_IN_TEXT.get(measurement.unit.value, measurement.unit.value)
    number = f"{name} {measurement.value:.{1 if is_coarse else 3}f} {unit}"
    return f"{number} ({measurement.method})" if measurement.method else number


def _in_sentence(meaning: str) -> str:
    """Return a code's meaning in small letters, abbreviations apart."""
    return " ".join(word.lower() if word.istitle() else word for word in meaning.split())


def _section(heading: Code, name: Code, sentences: Iterable[str]) -> hd.sr.ContainerContentItem:
    section = hd.sr.ContainerContentItem(name=heading, relationship_type=CONTAINS)
    section.ContentSequence = hd.sr.ContentSequence(
        [hd.sr.TextContentItem(name=name, value=sentence, relationship_type=CONTAINS) for sentence in sentences]
    )
    return section
