"""What a new revision replaces: the reports of the job before it, known from the database alone."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom import uid
from pydicom.dataset import Dataset

from node.database import Job
from node.errors import IdentityMismatch
from node.results.placement import WHAT_TO_DO
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import EarlierReport

PREDECESSORS = "PredecessorDocumentsSequence"
REFERENCE = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
REPORT_CLASSES = frozenset({uid.EnhancedSRStorage, uid.Comprehensive3DSRStorage})


def earlier_reports(job: Job) -> tuple[EarlierReport, ...]:
    """Return the reports of the job's predecessor, none without one; other results name no predecessor.

    Only documents can (PS3.3 C.17.2): a segmentation or picture is replaced by way of the reports on it.
    """
    if job.predecessor is None:
        return ()
    return tuple(
        EarlierReport(earlier.kind, earlier.sop_class_uid, earlier.sop_instance_uid, earlier.series_instance_uid)
        for earlier in job.predecessor.results
        if earlier.sop_class_uid in REPORT_CLASSES
    )


def predecessors_of(request: ResultRequest, kind: ResultKind) -> list[Dataset]:
    """Return what highdicom needs to know of the documents that a report of this kind replaces.

    That is the earlier one of its kind. The text report, which every job makes, replaces all of them, so
    that none goes on counting because there is no report of its kind this time.
    """
    replaced = [earlier for earlier in request.replaces if kind in (ResultKind.TEXT_REPORT, earlier.kind)]
    return [_header(request, earlier) for earlier in replaced]


def check_predecessors(result: Dataset, replaces: Sequence[EarlierReport]) -> None:
    """Raise IdentityMismatch unless what a result names as its predecessors are reports that it replaces."""
    allowed = {(e.series_instance_uid, e.sop_class_uid, e.sop_instance_uid) for e in replaces}
    for study in result.get(PREDECESSORS, []):
        if study.get("StudyInstanceUID") != result.StudyInstanceUID:
            raise _mismatch(result, f"in study {study.get('StudyInstanceUID')}", result.StudyInstanceUID)
        for series in study.get("ReferencedSeriesSequence", []):
            for document in series.get("ReferencedSOPSequence", []):
                named = (series.get("SeriesInstanceUID"), *map(document.get, REFERENCE))
                if named not in allowed:
                    raise _mismatch(result, " ".join(map(str, named)), "a report of the revision before")


def _mismatch(result: Dataset, found: str, expected: str) -> IdentityMismatch:
    return IdentityMismatch(
        f"result {result.SOPInstanceUID}: names the predecessor {found}, expected {expected}; {WHAT_TO_DO}"
    )


def _header(request: ResultRequest, earlier: EarlierReport) -> Dataset:
    header = Dataset()
    header.StudyInstanceUID = request.source.StudyInstanceUID
    header.SeriesInstanceUID = earlier.series_instance_uid
    header.SOPInstanceUID = earlier.sop_instance_uid
    header.SOPClassUID = earlier.sop_class_uid
    return header
