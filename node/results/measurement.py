"""Findings as TID 1500 measurement reports: of segments in an image or a volume, or of outlines to draw."""

from __future__ import annotations

from typing import Any

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.contour import outer_contours
from node.results.group import algorithm, measured, measurement_report, outlined
from node.results.header import encoding_source
from node.results.request import ResultKind, ResultRequest
from node.results.segment import tracking_uid
from node.vocabulary import Finding

Group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
VolumeGroup = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
Place = hd.sr.ImageRegion | hd.sr.ReferencedSegmentationFrame


def encode_measurement_report(request: ResultRequest, segmentation: Dataset) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1410 group per segment of the job's SEG."""
    source = encoding_source(request.source)
    groups = [
        _group(request, number, _segment_frame(source, segmentation, number))
        for number in range(1, len(request.findings) + 1)
    ]
    return measurement_report(request, ResultKind.MEASUREMENT_REPORT, groups, [request.source, segmentation])


def encode_contour_report(request: ResultRequest) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1410 group per region, each a closed POLYLINE.

    Viewers draw nothing of a report in which some group has no SCOORD, hence a report of its own.
    """
    source = encoding_source(request.source)
    groups = [
        _group(request, number, outlined(source, polygon), part)
        for number, finding in enumerate(request.findings, start=1)
        for part, polygon in enumerate(outer_contours(finding.mask), start=1)
    ]
    return measurement_report(request, ResultKind.CONTOUR_REPORT, groups, [request.source])


def encode_volume_report(request: ResultRequest, segmentation: Dataset) -> Dataset:
    """Return a Comprehensive 3D SR with one TID 1411 group per segment of the job's SEG."""
    groups = [
        VolumeGroup(
            referenced_segment=hd.sr.ReferencedSegment(
                sop_class_uid=segmentation.SOPClassUID,
                sop_instance_uid=segmentation.SOPInstanceUID,
                segment_number=number,
                source_series=hd.sr.SourceSeriesForSegmentation(request.source.SeriesInstanceUID),
            ),
            measurements=[measured(measurement) for measurement in finding.measurements],
            **identification(request, number),
        )
        for number, finding in enumerate(request.findings, start=1)
    ]
    return measurement_report(
        request, ResultKind.MEASUREMENT_REPORT, groups, [*request.evidence, segmentation]
    )


def _group(request: ResultRequest, number: int, place: Place, part: int = 1) -> Group:
    """Return the group of a finding, or of one of its parts.

    The first part stands for the finding: it is tracked by its UID and carries its measurements. The
    others have UIDs of their own, because a viewer draws one region per tracking UID.
    """
    measurements = [measured(measurement) for measurement in request.findings[number - 1].measurements]
    return Group(
        referenced_region=place if isinstance(place, hd.sr.ImageRegion) else None,
        referenced_segment=place if isinstance(place, hd.sr.ReferencedSegmentationFrame) else None,
        measurements=measurements if part == 1 else None,
        **identification(request, number, part),
    )


def identification(request: ResultRequest, number: int, part: int = 1) -> dict[str, Any]:
    """Return highdicom's arguments about what a group measures and which model found it."""
    finding = request.findings[number - 1]
    return {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            uid=tracking_uid(request, number, part),
            identifier=finding.label if part == 1 else f"{finding.label}, part {part}",
        ),
        "finding_category": finding.category,
        "finding_type": finding.property_type,
        "finding_sites": _finding_sites(finding),
        "algorithm_id": algorithm(request),
    }


def _finding_sites(finding: Finding) -> list[hd.sr.FindingSite]:
    """Return the structure itself, with its side, when the finding is an anatomical structure."""
    if finding.category != codes.SCT.AnatomicalStructure:
        return []
    return [hd.sr.FindingSite(anatomic_location=finding.property_type, laterality=finding.modifier)]


def _segment_frame(source: Dataset, segmentation: Dataset, number: int) -> hd.sr.ReferencedSegmentationFrame:
    """Return a reference to the frame of a segment; a SEG of radnode has one frame per segment."""
    reference = hd.sr.ReferencedSegmentationFrame(
        sop_class_uid=segmentation.SOPClassUID,
        sop_instance_uid=segmentation.SOPInstanceUID,
        frame_number=number,
        segment_number=number,
        source_image=hd.sr.SourceImageForSegmentation(source.SOPClassUID, source.SOPInstanceUID),
    )
    # Of frame and segment number an image reference may have one only (PS3.3 table 10-3).
    del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
    return reference
