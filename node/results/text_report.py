"""Findings as sentences: an Enhanced SR that any viewer of structured reports can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from node.results.candidates import is_candidate, place_of
from node.results.derived_series import describe_refinement
from node.results.report import finish_report, language, observation_context, procedure_reported
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import NOT_FOR_DIAGNOSIS, Conclusion, Finding, Measurement

EXPERIMENTAL = "This model is experimental: nobody should rely on what it says."
REPLACES = "Replaces the earlier report of this model on this study."
TITLE = Code("18748-4", "LN", "Diagnostic imaging study")
UNITS_IN_TEXT = {"[hnsf'U]": "HU", "a": "years", "1": ""}
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
    return finish_report(request, ResultKind.TEXT_REPORT, root, request.evidence)


def describe_finding(finding: Finding) -> str:
    """Return the finding as a sentence, such as "Right lung: area 182.4 cm2 (at the detector)."."""
    if not finding.measurements:
        return f"{finding.label}: outlined, not measured."
    return f"{finding.label}: {', '.join(_describe_measurement(item) for item in finding.measurements)}."


def describe_conclusion(conclusion: Conclusion) -> str:
    """Return the conclusion as a sentence.

    Such as "Tumour type: meningioma, probability 0.87; glioma 0.10; pituitary tumour 0.03." or "Estimated
    age 43.1 years (95 % prediction interval 33 to 53).".
    """
    named = name_conclusion(conclusion)
    if conclusion.measurement is not None:
        return f"Estimated {_in_sentence(named)} {_with_interval(conclusion.measurement)}."
    if not conclusion.is_decided:
        probabilities = (f"{_in_sentence(choice.label)} {choice.probability:.2f}" for choice in conclusion.choices)
        return f"{named}: undecided; {', '.join(probabilities)}."
    first, *others = conclusion.choices
    rest = "".join(f"; {_in_sentence(other.label)} {other.probability:.2f}" for other in others)
    return f"{named}: {_in_sentence(first.label)}, probability {first.probability:.2f}{rest}."


def name_conclusion(conclusion: Conclusion) -> str:
    """Return what was judged and, where it is one of a pair, on which side, such as "Disease (right eye)"."""
    if conclusion.site is None or conclusion.side is None:
        return conclusion.label
    return f"{conclusion.label} ({_in_sentence(conclusion.side.meaning)} {_in_sentence(conclusion.site.meaning)})"


def name_image(source: Dataset) -> str:
    """Return the numbers by which a viewer lists the source, or its UID when it has none."""
    series, instance = source.get("SeriesNumber"), source.get("InstanceNumber")
    if series is None or instance is None:
        return f"SOP Instance UID {source.SOPInstanceUID}"
    return f"image {instance} of series {series}"


def _procedure(request: ResultRequest) -> Iterator[str]:
    model = request.model
    yield f"{NOT_FOR_DIAGNOSIS}."
    if request.model.is_experimental:
        yield EXPERIMENTAL
    yield f"Analysed by {model.title}, version {model.version} ({model.name}, SHA-256 {model.sha256[:12]})."
    if request.replaces:
        yield REPLACES
    yield f"Analysed {_name_volume(request) if request.is_volume else f'image: {name_image(request.source)}'}."


def _findings(request: ResultRequest) -> Iterator[str]:
    if not (request.findings or request.conclusions or request.maps or request.refinements):
        yield f"{request.model.title} found nothing to outline in this {'series' if request.is_volume else 'image'}."
    for finding in request.findings:
        yield describe_finding(finding) + _widest(request, finding)
    for conclusion in request.conclusions:
        yield describe_conclusion(conclusion) + _where(request, conclusion)
    for value_map in request.maps:
        yield f"{value_map.label}: a value for every voxel is stored as a parametric map."
    for refinement in request.refinements:
        yield describe_refinement(request, refinement)
    yield from request.remarks


def _name_volume(request: ResultRequest) -> str:
    """Return the number of the series, or its UID when it has none, and its slices."""
    assert request.grid is not None
    number = request.source.get("SeriesNumber")
    series = f"Series Instance UID {request.source.SeriesInstanceUID}" if number is None else f"series {number}"
    return f"volume: {series}, {request.grid.shape[0]} slices, {request.grid.spacing_mm[0]:.2f} mm apart"


def _where(request: ResultRequest, conclusion: Conclusion) -> str:
    """Return a sentence about the slice or frame that shows a conclusion best, empty where none is named."""
    if conclusion.slice_number is None:
        return ""
    source, frame_number = request.pictured(conclusion.slice_number)
    frame = "" if frame_number is None else f"frame {frame_number} of "
    return f" Best seen on {frame}{name_image(source)}."


def _widest(request: ResultRequest, finding: Finding) -> str:
    """Return a sentence about where a candidate in a volume is seen, empty for any other finding."""
    if not (request.is_volume and is_candidate(finding)):
        return ""
    place = place_of(request, finding)
    source, frame_number = request.pictured(place.slice_number)
    frame = "" if frame_number is None else f"frame {frame_number} of "
    slices = f"slice {place.slice_number + 1} of {len(request.slice_sources)}"
    inside = f", inside: {_in_sentence(place.inside)}" if place.inside else ""
    return f" Widest on {frame}{name_image(source)} ({slices}){inside}."


def _with_interval(measurement: Measurement) -> str:
    unit = UNITS_IN_TEXT.get(measurement.unit.value, measurement.unit.value)
    if measurement.interval is None:
        return f"{measurement.value:.1f} {unit}"
    low, high = measurement.interval
    return f"{measurement.value:.1f} {unit} (95 % prediction interval {low:.0f} to {high:.0f})"


def _describe_measurement(measurement: Measurement) -> str:
    is_coarse = abs(measurement.value) >= 10 or measurement.unit == codes.UCUM.Percent
    name = _in_sentence(measurement.name.meaning)
    if measurement.derivation is not None:
        name = f"{_in_sentence(measurement.derivation.meaning)} {name}"
    unit = UNITS_IN_TEXT.get(measurement.unit.value, measurement.unit.value)
    number = f"{name} {measurement.value:.{1 if is_coarse else 3}f} {unit}".rstrip()
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
