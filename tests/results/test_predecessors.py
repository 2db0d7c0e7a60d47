"""Reports that replace earlier ones say so, and nothing else may be named as a predecessor."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom import uid
from pydicom.dataset import Dataset
from results.lung_requests import content_items, encoded, finding, request

from node.errors import IdentityMismatch
from node.results.encode import encode_results
from node.results.identity import check_identity, check_results
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import EarlierReport, study_identity

OTHER_UID = "2.25.1234567890"
EARLIER = (
    EarlierReport("measurement_report", uid.Comprehensive3DSRStorage, "2.25.11", "2.25.1"),
    EarlierReport("contour_report", uid.Comprehensive3DSRStorage, "2.25.22", "2.25.2"),
    EarlierReport("text_report", uid.EnhancedSRStorage, "2.25.33", "2.25.3"),
)
DOCUMENT = "PredecessorDocumentsSequence"


def replacing(replaces: tuple[EarlierReport, ...] = EARLIER, found: bool = True) -> ResultRequest:
    mask = np.zeros((61, 47), dtype=bool)
    mask[5:30, 7:40] = True
    return request(chest_dx(shaded_picture()), [finding(mask)] if found else [], replaces=replaces)


def named(report: Dataset) -> set[str]:
    (study,) = report.get(DOCUMENT) or [Dataset()]
    return {
        str(document.ReferencedSOPInstanceUID)
        for series in study.get("ReferencedSeriesSequence", [])
        for document in series.ReferencedSOPSequence
    }


def test_each_report_names_the_earlier_one_of_its_kind_and_the_text_report_all() -> None:
    results = encoded(replacing())
    assert named(results[ResultKind.MEASUREMENT_REPORT]) == {"2.25.11"}
    assert named(results[ResultKind.CONTOUR_REPORT]) == {"2.25.22"}
    assert named(results[ResultKind.TEXT_REPORT]) == {"2.25.11", "2.25.22", "2.25.33"}
    assert DOCUMENT not in results[ResultKind.SEGMENTATION]


def test_reports_of_what_is_no_longer_found_are_replaced_by_the_text_report() -> None:
    results = encoded(replacing(found=False))
    assert set(results) == {ResultKind.TEXT_REPORT}
    assert named(results[ResultKind.TEXT_REPORT]) == {"2.25.11", "2.25.22", "2.25.33"}


def test_the_reader_is_told_that_an_earlier_report_is_replaced() -> None:
    def sentences(made: ResultRequest) -> list[str]:
        return [item.TextValue for item in content_items(encoded(made)[ResultKind.TEXT_REPORT]) if "TextValue" in item]

    replaced = "Replaces the earlier report of this model on this study."
    assert replaced in sentences(replacing())
    assert replaced not in sentences(replacing(()))


def test_a_first_report_has_no_predecessor() -> None:
    assert all(DOCUMENT not in result for result in encoded(replacing(())).values())


def test_equal_predecessors_give_equal_bytes() -> None:
    first, second = (encode_results(replacing()) for _ in range(2))
    assert [result.encoded for result in first] == [result.encoded for result in second]


def check(report: Dataset, replaces: tuple[EarlierReport, ...]) -> None:
    made = replacing()
    siblings = [result for result in encoded(made).values() if result.SOPInstanceUID != report.SOPInstanceUID]
    check_identity(report, made.sources, study_identity(made.source), siblings, replaces)


def test_the_guard_knows_the_reports_that_are_replaced() -> None:
    made = replacing()
    check_results(list(encoded(made).values()), made.sources, study_identity(made.source), EARLIER)


def test_a_predecessor_that_the_row_does_not_name_is_refused() -> None:
    made = replacing()
    with pytest.raises(IdentityMismatch, match="names the predecessor"):
        check(encoded(made)[ResultKind.TEXT_REPORT], EARLIER[:2])
    with pytest.raises(IdentityMismatch, match="names the predecessor"):
        check_results(list(encoded(made).values()), made.sources, study_identity(made.source))


def in_another_study(study: Dataset) -> None:
    study.StudyInstanceUID = OTHER_UID


def in_another_series(study: Dataset) -> None:
    study.ReferencedSeriesSequence[0].SeriesInstanceUID = OTHER_UID


def of_another_class(study: Dataset) -> None:
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPClassUID = uid.BasicTextSRStorage


def of_another_instance(study: Dataset) -> None:
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = OTHER_UID


@pytest.mark.parametrize("change", [in_another_study, in_another_series, of_another_class, of_another_instance])
def test_a_predecessor_that_is_said_to_be_another_is_refused(change: Callable[[Dataset], None]) -> None:
    report = encoded(replacing())[ResultKind.MEASUREMENT_REPORT]
    check(report, EARLIER)
    change(report[DOCUMENT].value[0])
    with pytest.raises(IdentityMismatch, match="names the predecessor"):
        check(report, EARLIER)


def test_a_report_that_is_replaced_is_no_evidence() -> None:
    report = encoded(replacing())[ResultKind.TEXT_REPORT]
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID = EARLIER[0].sop_instance_uid
    with pytest.raises(IdentityMismatch, match="referenced instance"):
        check(report, EARLIER)
