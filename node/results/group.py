"""What the measurement groups of every report template share: the model, the numbers, places and a document."""

from __future__ import annotations

from collections.abc import Sequence

import highdicom as hd
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from node.results.contour import Polygon
from node.results.header import fit
from node.results.report import COMMENT, finish_report, language, observation_context, procedure_reported
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import Measurement

Group = (
    hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations
    | hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations
    | hd.sr.MeasurementsAndQualitativeEvaluations
)


def measurement_report(
    request: ResultRequest, kind: ResultKind, groups: Sequence[Group], evidence: Sequence[Dataset]
) -> Dataset:
    """Return a Comprehensive 3D SR (TID 1500) of the groups, which must all be of one template.

    `evidence` are the instances that the groups refer to or were measured on.
    """
    content = hd.sr.MeasurementReport(
        observation_context=observation_context(request),
        procedure_reported=procedure_reported(request),
        imaging_measurements=groups,
        language_of_content_item_and_descendants=language(),
    )
    return finish_report(request, kind, content[0], evidence)


def algorithm(request: ResultRequest) -> hd.sr.AlgorithmIdentification:
    """Return which model it was, to the byte (TID 4019)."""
    return hd.sr.AlgorithmIdentification(
        name=fit(request.model.title),
        version=fit(request.model.version),
        parameters=[f"name={request.model.name}", f"sha256={request.model.sha256}"],
    )


def measured(measurement: Measurement) -> hd.sr.Measurement:
    """Return the number (TID 300), with its method as comment."""
    item = hd.sr.Measurement(
        name=measurement.name,
        value=measurement.value,
        unit=measurement.unit,
        derivation=measurement.derivation,
    )
    if measurement.method:
        comment = hd.sr.TextContentItem(
            name=COMMENT,
            value=measurement.method,
            relationship_type=hd.sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
        )
        qualify(item, comment)
    return item


def qualify(measurement: hd.sr.Measurement, content: Dataset) -> None:
    """Put a content item below the number."""
    below = measurement[0].get("ContentSequence", hd.sr.ContentSequence())
    below.append(content)
    measurement[0].ContentSequence = below


def outlined(source: Dataset, polygon: Polygon, frame_number: int | None = None) -> hd.sr.ImageRegion:
    """Return a closed polygon on an instance, or on a frame, counted from 1, of a multi-frame one."""
    return hd.sr.ImageRegion(
        graphic_type=hd.sr.GraphicTypeValues.POLYLINE,
        graphic_data=polygon,
        source_image=hd.sr.SourceImageForRegion(
            source.SOPClassUID,
            source.SOPInstanceUID,
            referenced_frame_numbers=None if frame_number is None else [frame_number],
        ),
    )


def probability(value: float) -> hd.sr.Measurement:
    """Return a probability in 0..1."""
    return hd.sr.Measurement(name=codes.DCM.Probability, value=value, unit=codes.UCUM.NoUnits)
