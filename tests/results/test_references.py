"""What a result may refer to: shown on the fewest attributes that refer, so that each rule stands alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from results.lung_requests import request

from node.database import Job, Result
from node.errors import IdentityMismatch
from node.results.identity import check_identity, check_results
from node.results.predecessors import check_predecessors, earlier_reports, predecessors_of
from node.results.request import ResultKind
from node.vocabulary import EarlierReport, study_identity

STUDY, SERIES, SOURCE = "1.2", "1.2.3", "1.2.3.1"
RESULT_SERIES, RESULT = "1.2.4", "1.2.4.1"
OTHER = "2.25.1234567890"
CT, REPORT = uid.CTImageStorage, uid.EnhancedSRStorage
WHOSE = {
    "StudyInstanceUID": STUDY,
    "PatientID": "P1",
    "PatientName": "Made^Up",
    "PatientBirthDate": "19700101",
    "PatientSex": "O",
    "StudyID": "7",
    "StudyDate": "20260304",
    "AccessionNumber": "A1",
}


def made(**values: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def source(number: int = 1, **changes: Any) -> Dataset:
    stated = WHOSE | {"SeriesInstanceUID": SERIES, "SOPInstanceUID": f"{SERIES}.{number}", "SOPClassUID": CT}
    return made(**(stated | changes))


def reference(instance: str = SOURCE, sop_class: str = CT, **values: Any) -> Dataset:
    return made(ReferencedSOPInstanceUID=instance, ReferencedSOPClassUID=sop_class, **values)


def evidence(*references: Dataset, study: str = STUDY, series: str = SERIES) -> Dataset:
    """Return an item of a sequence that files references under their series and study (PS3.3 C.17.2.1)."""
    filed = made(SeriesInstanceUID=series, ReferencedSOPSequence=list(references))
    return made(StudyInstanceUID=study, ReferencedSeriesSequence=[filed])


def report(*references: Dataset, number: int = 1, **values: Any) -> Dataset:
    """Return a report on these, or on the source."""
    stated = WHOSE | {"SeriesInstanceUID": RESULT_SERIES, "SOPClassUID": REPORT}
    stated |= {"SOPInstanceUID": f"{RESULT_SERIES}.{number}"}
    stated |= {"CurrentRequestedProcedureEvidenceSequence": [evidence(*(references or (reference(),)))]}
    return made(**(stated | values))


def check(
    result: Dataset, *sources: Dataset, siblings: tuple[Dataset, ...] = (), replaces: tuple[EarlierReport, ...] = ()
) -> None:
    check_identity(result, sources or (source(),), study_identity(source()), siblings, replaces)


def refused(result: Dataset, words: str, *sources: Dataset, **context: Any) -> None:
    with pytest.raises(IdentityMismatch, match=words):
        check(result, *sources, **context)


def test_a_report_on_its_source_passes() -> None:
    check(report())
    check_results([report(), report(number=2)], [source()], study_identity(source()))


@pytest.mark.parametrize("keyword", [keyword for keyword in WHOSE if keyword.startswith("Patient")])
def test_another_patient_is_refused_and_neither_is_quoted(keyword: str) -> None:
    with pytest.raises(IdentityMismatch) as refusal:
        check(report(**{keyword: "19991231"}))
    recorded = WHOSE[keyword]
    expected = f"{keyword} is a value of 8 characters, expected the recorded a value of {len(recorded)} characters, not"
    assert str(refusal.value).startswith(f"result {RESULT}: {expected}")
    assert "19991231" not in str(refusal.value)
    assert f" {recorded} " not in str(refusal.value)
    refused(report(**{keyword: ""}), rf"result {RESULT}: {keyword} is empty, expected the recorded a value")


@pytest.mark.parametrize("keyword", [keyword for keyword in WHOSE if not keyword.startswith("Patient")])
def test_another_study_is_refused_by_name(keyword: str) -> None:
    found = "19991231"
    refused(report(**{keyword: found}), rf"^result {RESULT}: {keyword} is {found}, expected {WHOSE[keyword]};")
    refused(report(), rf"^source instance {SOURCE}: {keyword} is {found}, ", source(**{keyword: found}))
    refused(report(**{keyword: ""}), rf"^result {RESULT}: {keyword} is empty, expected {WHOSE[keyword]};")


def test_what_the_row_does_not_record_is_shown_as_empty() -> None:
    recorded = replace(study_identity(source()), accession_number="")
    with pytest.raises(IdentityMismatch, match="AccessionNumber is A1, expected empty;"):
        check_identity(report(), [source()], recorded)


def test_every_source_and_every_sibling_is_compared_with_the_row() -> None:
    refused(report(), rf"source instance {SERIES}\.2: StudyID", source(), source(2, StudyID="8"))
    refused(report(), rf"result {RESULT_SERIES}\.2: StudyID", siblings=(report(number=2, StudyID="8"),))
    with pytest.raises(IdentityMismatch, match="StudyID"):
        check_results([report(), report(number=2, StudyID="8")], [source()], study_identity(source()))


def test_results_without_sources_are_refused_and_counted() -> None:
    with pytest.raises(IdentityMismatch, match=r"^2 results: no source instance"):
        check_results([report(), report(number=2)], [], study_identity(source()))


@pytest.mark.parametrize("at", [0, 1])
def test_each_of_several_results_is_looked_at(at: int) -> None:
    results = [report(), report(number=2)]
    results[at] = report(reference(OTHER), number=at + 1)
    with pytest.raises(IdentityMismatch, match=OTHER):
        check_results(results, [source()], study_identity(source()))


def test_a_reference_to_an_instance_that_is_neither_source_nor_sibling_is_refused() -> None:
    refused(report(reference(OTHER)), rf"referenced instance is {OTHER}, expected one of {SOURCE}, {RESULT};")
    refused(report(reference(), reference(OTHER)), "referenced instance")


def test_only_a_few_of_what_may_be_referred_to_are_listed() -> None:
    sources = [source(number) for number in range(1, 4)]
    refused(report(reference(OTHER)), rf"expected one of {SERIES}\.1, {SERIES}\.2, {SERIES}\.3, {RESULT};", *sources)
    refused(report(reference(OTHER)), "expected that of one of the 5 sources and siblings;", *sources, source(4))


def test_a_reference_states_the_class_of_the_instance() -> None:
    refused(report(reference(sop_class=uid.MRImageStorage)), rf"SOP class of {SOURCE} is {uid.MRImageStorage}, .* {CT}")
    without = reference()
    del without.ReferencedSOPClassUID
    refused(report(without), f"SOP class of {SOURCE} is empty, expected {CT}")


def test_evidence_is_filed_under_its_own_series_and_study() -> None:
    sibling = report(number=2, SeriesInstanceUID="1.2.5")
    filed = {"series": "1.2.5"}
    wrong = report(CurrentRequestedProcedureEvidenceSequence=[evidence(reference(), **filed)])
    refused(wrong, rf"series of {SOURCE} is 1\.2\.5, expected {SERIES}", siblings=(sibling,))
    right = reference(f"{RESULT_SERIES}.2", REPORT)
    check(report(CurrentRequestedProcedureEvidenceSequence=[evidence(right, **filed)]), siblings=(sibling,))
    nobodys = report(CurrentRequestedProcedureEvidenceSequence=[evidence(reference(), series=OTHER)])
    refused(nobodys, rf"referenced series is {OTHER}")
    another = report(CurrentRequestedProcedureEvidenceSequence=[evidence(reference(), study=OTHER)])
    refused(another, rf"referenced study is {OTHER}, expected {STUDY}")


def test_a_reference_outside_any_series_is_judged_by_the_instance_alone() -> None:
    bare = report()
    del bare.CurrentRequestedProcedureEvidenceSequence
    bare.SourceImageSequence = [reference()]
    check(bare)
    bare.SourceImageSequence = [reference(OTHER)]
    refused(bare, "referenced instance")


def test_a_result_refers_to_something_other_than_itself() -> None:
    bare = report()
    del bare.CurrentRequestedProcedureEvidenceSequence
    refused(bare, f"^result {RESULT}: refers to no instance, expected at least its source")
    bare.ReferencedImageSequence = [reference(RESULT, REPORT)]
    refused(bare, "refers to no instance")
    bare.ReferencedImageSequence = [reference(RESULT, REPORT), reference()]
    check(bare)


@pytest.mark.parametrize(("stated", "frames"), [(1, None), (1, 3), (3, 3), ([1, 3], 3), ("2", 3)])
def test_a_reference_may_name_frames_that_the_instance_has(stated: Any, frames: int | None) -> None:
    of = source() if frames is None else source(NumberOfFrames=frames)
    check(report(reference(ReferencedFrameNumber=stated)), of)


@pytest.mark.parametrize(
    ("stated", "frames", "named", "last"),
    [(0, 3, 0, 3), (4, 3, 4, 3), (2, None, 2, 1), ([1, 4], 3, 4, 3), ([4, 1], 3, 4, 3), (2, 0, 2, 1)],
)
def test_a_frame_that_the_instance_does_not_have_is_refused(
    stated: Any, frames: int | None, named: int, last: int
) -> None:
    of = source() if frames is None else source(NumberOfFrames=frames)
    words = rf"^result {RESULT}: names frame {named} of instance {SOURCE}, expected one of 1 to {last};"
    refused(report(reference(ReferencedFrameNumber=stated)), words, of)


def segment_of(series: str, code: str = "121232") -> Dataset:
    return made(ConceptNameCodeSequence=[made(CodeValue=code)], UID=series)


def test_a_segment_comes_from_a_series_that_was_analysed() -> None:
    check(report(ContentSequence=[segment_of(SERIES)]))
    check(report(ContentSequence=[segment_of(OTHER, "112040")]))  # a tracking identifier is nobody's series
    check(report(ContentSequence=[made(UID=OTHER), made(ConceptNameCodeSequence=[made(CodeValue="121232")])]))
    refused(report(ContentSequence=[segment_of(OTHER)]), f"source series of a segment is {OTHER}")


def test_items_are_followed_to_any_depth() -> None:
    deep = made(ContentSequence=[made(ContentSequence=[made(ReferencedSOPSequence=[reference(OTHER)])])])
    refused(report(ContentSequence=[deep]), "referenced instance")


def test_a_result_claims_no_other_frame_of_reference_but_may_leave_it_out() -> None:
    placed = source(FrameOfReferenceUID="1.5")
    check(report(), placed)
    check(report(FrameOfReferenceUID="1.5"), placed)
    check(report(FrameOfReferenceUID=""), placed)
    refused(report(FrameOfReferenceUID="1.6"), r"FrameOfReferenceUID is 1\.6, expected one of 1\.5;", placed)
    refused(report(FrameOfReferenceUID="1.6"), r"FrameOfReferenceUID is 1\.6")


def in_a_plane(z_mm: float) -> dict[str, Any]:
    return {
        "ImagePositionPatient": [0.0, 0.0, z_mm],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [1.0, 1.0],
    }


def test_a_result_with_frames_and_one_with_a_position_must_lie_in_their_sources() -> None:
    sources = [source(number, **in_a_plane(10.0 * number)) for number in (1, 2)]
    both = [reference(f"{SERIES}.1"), reference(f"{SERIES}.2")]
    check(report(SourceImageSequence=both, **in_a_plane(15.0)), *sources)
    refused(report(SourceImageSequence=both, **in_a_plane(50.0)), "of the way from the first", *sources)
    for z_mm in (10.0, 11.0):
        frame = made(
            PlanePositionSequence=[made(ImagePositionPatient=[0.0, 0.0, z_mm])],
            DerivationImageSequence=[made(SourceImageSequence=[reference()])],
        )
        framed = report(PerFrameFunctionalGroupsSequence=[frame])
        if z_mm == 10.0:
            check(framed, *sources)
        else:
            refused(framed, "frame 1: ImagePositionPatient", *sources)


EARLIER = EarlierReport("text_report", REPORT, "2.25.33", "2.25.3")


def replacing(**changes: str) -> Dataset:
    named = {"study": STUDY, "series": "2.25.3", "instance": "2.25.33", "sop_class": REPORT} | changes
    document = reference(named["instance"], named["sop_class"])
    return report(PredecessorDocumentsSequence=[evidence(document, study=named["study"], series=named["series"])])


def test_a_report_names_the_report_it_replaces_and_no_other() -> None:
    check(replacing(), replaces=(EARLIER,))
    check_results([replacing()], [source()], study_identity(source()), [EARLIER])
    refused(replacing(), r"names the predecessor 2\.25\.3 [0-9.]+ 2\.25\.33, expected a report of the revision before")
    with pytest.raises(IdentityMismatch, match="names the predecessor"):
        check_results([report(), replacing()], [source()], study_identity(source()))


@pytest.mark.parametrize("changes", [{"series": OTHER}, {"instance": OTHER}, {"sop_class": CT}])
def test_a_predecessor_in_another_place_is_refused(changes: dict[str, str]) -> None:
    refused(replacing(**changes), "expected a report of the revision before", replaces=(EARLIER,))


def test_a_predecessor_of_another_study_is_refused() -> None:
    words = rf"^result {RESULT}: names the predecessor in study {OTHER}, expected {STUDY};"
    refused(replacing(study=OTHER), words, replaces=(EARLIER,))


@pytest.mark.parametrize("empty", [made(StudyInstanceUID=STUDY), evidence()])
def test_a_list_of_predecessors_that_names_none_replaces_none(empty: Dataset) -> None:
    check_predecessors(report(PredecessorDocumentsSequence=[empty]), [])
    check_predecessors(report(), [])


def test_a_replaced_report_in_a_sequence_deeper_down_is_no_predecessor() -> None:
    item = made(PredecessorDocumentsSequence=[evidence(reference("2.25.33", REPORT), series="2.25.3")])
    refused(report(ContentSequence=[item]), "referenced", replaces=(EARLIER,))


@pytest.mark.parametrize(
    ("sop_class", "is_replaced"),
    [(REPORT, True), (uid.Comprehensive3DSRStorage, True), (uid.SegmentationStorage, False), (CT, False)],
)
def test_of_a_job_before_the_reports_are_replaced(sop_class: str, is_replaced: bool) -> None:
    before = Job(results=[Result(kind="k", sop_class_uid=sop_class, sop_instance_uid="1.1", series_instance_uid="1.0")])
    expected = (EarlierReport("k", sop_class, "1.1", "1.0"),) if is_replaced else ()
    assert earlier_reports(Job(predecessor=before)) == expected


def test_the_text_report_names_every_earlier_report_and_another_the_one_of_its_kind() -> None:
    contour = EarlierReport("contour_report", uid.Comprehensive3DSRStorage, "2.25.22", "2.25.2")
    made_anew = request(source(), [], replaces=(EARLIER, contour))

    def named(kind: ResultKind) -> list[list[str]]:
        return [
            [item.StudyInstanceUID, item.SeriesInstanceUID, item.SOPInstanceUID, item.SOPClassUID]
            for item in predecessors_of(made_anew, kind)
        ]

    of_contour = [STUDY, "2.25.2", "2.25.22", uid.Comprehensive3DSRStorage]
    assert named(ResultKind.TEXT_REPORT) == [[STUDY, "2.25.3", "2.25.33", REPORT], of_contour]
    assert named(ResultKind.CONTOUR_REPORT) == [of_contour]
    assert named(ResultKind.CONCLUSION_REPORT) == []


def test_a_first_job_replaces_nothing() -> None:
    assert earlier_reports(Job()) == ()


@pytest.mark.parametrize("spoil", [lambda result: result.pop("PatientID"), lambda result: result.pop("StudyDate")])
def test_a_result_that_leaves_out_whose_it_is_is_refused(spoil: Callable[[Dataset], None]) -> None:
    result = report()
    spoil(result)
    refused(result, "is empty")
