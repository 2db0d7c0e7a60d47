"""The step as a whole: findings in, result objects out, each a finished file."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO

from pydicom.dataset import Dataset

from node.results.candidates import encode_candidate_report, has_candidates
from node.results.character_set import keep_undeclared_text
from node.results.conclusion import encode_conclusion_report, encode_frame_report
from node.results.derived_series import encode_derived_series
from node.results.key_image import encode_key_image
from node.results.measurement import encode_contour_report, encode_measurement_report, encode_volume_report
from node.results.parametric_map import encode_parametric_map
from node.results.request import ResultKind, ResultObject, ResultRequest, check_request
from node.results.segmentation import encode_segmentation
from node.results.standard_modules import read_modules_one_by_one
from node.results.text_report import encode_text_report
from node.results.volume_segmentation import encode_volume_segmentation

read_modules_one_by_one()


def encode_results(request: ResultRequest) -> tuple[ResultObject, ...]:
    """Return a job's result objects: SEG, measurements, contours, conclusions, text and key image.

    Maps and derived images come last. Each is there as far as there is something to put into it, the
    text always. In a volume only candidates have contours: viewers draw its SEG. Only a request with a
    picture has a key image.
    Equal requests give equal bytes, in any process and any order of sources. Raises HeaderRefused when
    a source lacks a UID, a size or, in a volume, its place, and FindingRefused when a mask is empty or
    a mask or the picture is not on the sources' grid.
    """
    check_request(request)
    return tuple(_finish(kind, dataset, request.source) for kind, dataset in _encode(request))


def _encode(request: ResultRequest) -> Iterator[tuple[ResultKind, Dataset]]:
    if request.findings and request.is_volume:
        segmentation = encode_volume_segmentation(request)
        yield ResultKind.SEGMENTATION, segmentation
        yield ResultKind.MEASUREMENT_REPORT, encode_volume_report(request, segmentation)
        if has_candidates(request):
            yield ResultKind.CONTOUR_REPORT, encode_candidate_report(request)
    elif request.findings:
        segmentation = encode_segmentation(request)
        yield ResultKind.SEGMENTATION, segmentation
        yield ResultKind.MEASUREMENT_REPORT, encode_measurement_report(request, segmentation)
        yield ResultKind.CONTOUR_REPORT, encode_contour_report(request)
    if request.conclusions:
        yield ResultKind.CONCLUSION_REPORT, encode_conclusion_report(request)
        yield ResultKind.FRAME_REPORT, encode_frame_report(request)
    yield ResultKind.TEXT_REPORT, encode_text_report(request)
    if (request.findings or request.conclusions) and request.picture is not None:
        yield ResultKind.KEY_IMAGE, encode_key_image(request, request.picture)
    for number in range(len(request.maps)):
        yield ResultKind.PARAMETRIC_MAP, encode_parametric_map(request, number)
    for number in range(len(request.refinements)):
        for image in encode_derived_series(request, number):
            yield ResultKind.DERIVED_SERIES, image


def _finish(kind: ResultKind, dataset: Dataset, source: Dataset) -> ResultObject:
    keep_undeclared_text(dataset, source)
    part10 = BytesIO()
    dataset.save_as(part10, enforce_file_format=True)
    return ResultObject(
        kind=kind,
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        series_instance_uid=str(dataset.SeriesInstanceUID),
        encoded=part10.getvalue(),
    )
