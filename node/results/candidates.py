"""Candidates in a volume, outlines with a score: drawn on the slice where each is widest, and placed in words."""

from __future__ import annotations

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.imaging.diameter import longest_diameter
from node.results.contour import outer_contours
from node.results.group import measured, measurement_report, outlined
from node.results.header import encoding_source
from node.results.measurement import identification
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import Finding

Group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations

# What is said of a candidate where one slice of it is drawn; its volume is in the report of the SEG.
SAID_OF_A_SLICE = (codes.SCT.LongAxis, codes.DCM.Probability)


@dataclass(frozen=True)
class Place:
    """Where a candidate is widest: a slice counted from 0, and the finding that its middle there lies in, or ""."""

    slice_number: int
    inside: str


def has_candidates(request: ResultRequest) -> bool:
    """Say whether anything was found in a volume that is only probably there."""
    return request.is_volume and any(is_candidate(finding) for finding in request.findings)


def is_candidate(finding: Finding) -> bool:
    """Say whether a finding has a score, so that there may be nothing where it lies."""
    return any(measurement.name == codes.DCM.Probability for measurement in finding.measurements)


def encode_candidate_report(request: ResultRequest) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1410 group per candidate, a closed POLYLINE on one slice.

    It is the slice on which the candidate is widest. Each part of the outline there is a group; the first
    carries the score and the diameter and has the tracking UID of the candidate's segment.
    """
    groups = [
        group
        for number, finding in enumerate(request.findings, start=1)
        if is_candidate(finding)
        for group in _groups(request, number, finding)
    ]
    return measurement_report(request, ResultKind.CONTOUR_REPORT, groups, request.evidence)


def place_of(request: ResultRequest, finding: Finding) -> Place:
    """Return where a finding in a volume is widest, and which other structure of the job it lies in there."""
    assert request.grid is not None
    number = longest_diameter(finding.mask, request.grid.spacing_mm).slice_number
    row, column = np.rint(np.argwhere(finding.mask[number]).mean(axis=0)).astype(int)
    around = [
        other.label for other in request.findings if not is_candidate(other) and other.mask[number, row, column]
    ]
    return Place(number, around[0] if around else "")


def _groups(request: ResultRequest, number: int, finding: Finding) -> list[Group]:
    shown = place_of(request, finding).slice_number
    instance, frame_number = request.pictured(shown)
    source = encoding_source(instance)
    said = [measured(one) for one in finding.measurements if one.name in SAID_OF_A_SLICE]
    return [
        Group(
            referenced_region=outlined(source, polygon, frame_number),
            measurements=said if part == 1 else None,
            **identification(request, number, part),
        )
        for part, polygon in enumerate(outer_contours(finding.mask[shown]), start=1)
    ]
