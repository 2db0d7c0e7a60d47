"""The step as a whole: findings in, result objects out, each a finished file."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pydicom.dataset import Dataset

from node.results.measurement import encode_contour_report, encode_measurement_report
from node.results.request import ResultKind, ResultObject, ResultRequest, check_request
from node.results.segmentation import encode_segmentation
from node.results.text_report import encode_text_report


def encode_results(request: ResultRequest) -> tuple[ResultObject, ...]:
    """Return a job's result objects: SEG, measurements, contours and text, or the text alone.

    Equal requests give equal bytes, in any process. Raises HeaderRefused when the source lacks a UID
    or a size, and FindingRefused when a mask is empty or not on the source's grid.
    """
    check_request(request)
    return tuple(_finish(kind, dataset) for kind, dataset in _encode(request))


def _encode(request: ResultRequest) -> Iterator[tuple[ResultKind, Dataset]]:
    if request.findings:
        segmentation = encode_segmentation(request)
        yield ResultKind.SEGMENTATION, segmentation
        yield ResultKind.MEASUREMENT_REPORT, encode_measurement_report(request, segmentation)
        yield ResultKind.CONTOUR_REPORT, encode_contour_report(request)
    yield ResultKind.TEXT_REPORT, encode_text_report(request)


def _finish(kind: ResultKind, dataset: Dataset) -> ResultObject:
    part10 = BytesIO()
    dataset.save_as(part10, enforce_file_format=True)
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        encoded=part10.getvalue(),
    )
