"""Conclusions of classifiers and estimators as reports: what is read is what was concluded, of that picture."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from results.conclusion_requests import (
    DRUSEN,
    GLIOMA,
    HEALTHY,
    MENINGIOMA,
    ON_EVERYTHING,
    age,
    on_ct,
    on_op,
    on_opt,
    on_secondary_capture,
    on_series,
    on_slice,
    sex,
    tumour_type,
)
from results.lung_requests import content_items, encoded, finding, items_named

from node.errors import FindingRefused, IdentityMismatch
from node.results.encode import encode_results
from node.results.identity import check_identity
from node.results.read_back import read_sentences
from node.results.read_conclusions import ReadConclusion, read_conclusions
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import Conclusion, study_identity

REPORTS = (ResultKind.CONCLUSION_REPORT, ResultKind.FRAME_REPORT)
DERIVATION, COMMENT, FINDING = "121401", "121106", "121071"


def concluded(made: ResultRequest, kind: ResultKind = ResultKind.CONCLUSION_REPORT) -> list[ReadConclusion]:
    return read_conclusions(encoded(made)[kind])


def sentences(made: ResultRequest) -> list[str]:
    return read_sentences(encoded(made)[ResultKind.TEXT_REPORT])


@pytest.fixture(params=ON_EVERYTHING)
def made(request: pytest.FixtureRequest) -> ResultRequest:
    """Return a request on every kind of source."""
    return ON_EVERYTHING[request.param]()


def test_a_conclusion_is_reported_for_machines_viewers_and_readers(made: ResultRequest) -> None:
    results = encode_results(made)
    expected = [*REPORTS, ResultKind.TEXT_REPORT, ResultKind.KEY_IMAGE]
    assert [result.kind for result in results] == expected
    assert len({result.series_instance_uid for result in results}) == len(expected)


def test_what_is_read_is_what_was_concluded(made: ResultRequest) -> None:
    for read, sent in zip(concluded(made), made.conclusions, strict=True):
        assert read.label == sent.label
        assert list(read.probabilities) == [choice.code.meaning for choice in sent.choices]
        assert list(read.probabilities.values()) == [choice.probability for choice in sent.choices]
        assert read.found == (sent.choices[0].code.meaning if sent.choices else "")
        assert read.site == (sent.site.meaning if sent.site else "")
        assert read.side == (sent.side.meaning if sent.side else "")
        assert (read.estimate is None) == (sent.measurement is None)


def test_results_belong_to_the_instances_they_were_made_from(made: ResultRequest) -> None:
    results = encoded(made)
    for result in results.values():
        siblings = [other for other in results.values() if other is not result]
        check_identity(result, made.sources, study_identity(made.source), siblings)


def test_equal_requests_give_equal_bytes(made: ResultRequest) -> None:
    backwards = replace(made, sources=made.sources[::-1])
    assert encode_results(made) == encode_results(backwards)


def test_both_reports_track_a_conclusion_by_one_uid(made: ResultRequest) -> None:
    tracked = [[read.tracking_uid for read in concluded(made, kind)] for kind in REPORTS]
    assert tracked[0] == tracked[1]
    assert len(set(tracked[0])) == len(made.conclusions)


def test_every_group_of_the_framed_report_can_be_drawn_inside_its_picture(made: ResultRequest) -> None:
    report = encoded(made)[ResultKind.FRAME_REPORT]
    outlines = [item for item in content_items(report) if item.ValueType == "SCOORD"]
    assert len(outlines) == len(made.conclusions)
    for outline in outlines:
        columns, rows = outline.GraphicData[::2], outline.GraphicData[1::2]
        assert (min(columns), max(columns)) == (1.0, made.source.Columns - 1.0)
        assert (min(rows), max(rows)) == (1.0, made.source.Rows - 1.0)
        assert outline.GraphicData[:2] == outline.GraphicData[-2:]


@pytest.mark.parametrize("kind", REPORTS)
def test_the_slice_that_shows_a_conclusion_best_is_named(kind: ResultKind) -> None:
    made = on_series()
    assert concluded(made, kind)[0].images == ((made.slice_sources[3].sop_instance_uid, None),)


@pytest.mark.parametrize("kind", REPORTS)
def test_the_frame_that_shows_a_conclusion_best_is_named(kind: ResultKind) -> None:
    made = on_opt()
    assert concluded(made, kind)[0].images == ((made.source.SOPInstanceUID, 3),)


def test_what_holds_for_a_whole_series_refers_to_all_of_it_and_is_framed_in_its_middle() -> None:
    made = on_ct()
    uids = [source.sop_instance_uid for source in made.slice_sources]
    assert concluded(made)[0].images == tuple((uid, None) for uid in uids)
    assert concluded(made, ResultKind.FRAME_REPORT)[0].images == ((uids[2], None),)


def test_a_class_is_stated_under_the_concept_that_was_judged() -> None:
    report = encoded(on_series(conclusions=(sex(),)))[ResultKind.CONCLUSION_REPORT]
    (stated,) = items_named(report, codes.DCM.SubjectSex.value)
    assert stated.ConceptCodeSequence[0].CodeValue == "F"
    assert stated.RelationshipType == "CONTAINS"


def test_each_probability_names_its_class() -> None:
    report = encoded(on_slice())[ResultKind.CONCLUSION_REPORT]
    named = {
        number.ContentSequence[0].ConceptCodeSequence[0].CodeValue: number.MeasuredValueSequence[0].NumericValue
        for number in items_named(report, codes.DCM.Probability.value)
    }
    assert named[MENINGIOMA.code.value] == pytest.approx(0.87)
    assert named[GLIOMA.code.value] == pytest.approx(0.1)


def test_an_estimate_states_its_unit_its_prediction_interval_and_that_it_is_estimated() -> None:
    made = on_ct()
    (read,) = concluded(made)
    assert read.estimate is not None
    assert (read.estimate.value, read.estimate.unit) == (43.1, "a")
    assert (read.estimate.low, read.estimate.high) == (pytest.approx(33.2), pytest.approx(53.0))
    (number,) = items_named(encoded(made)[ResultKind.CONCLUSION_REPORT], codes.DCM.SubjectAge.value)
    below = {item.ConceptNameCodeSequence[0].CodeValue: item for item in number.ContentSequence}
    assert below[DERIVATION].ConceptCodeSequence[0].CodeMeaning == "Estimated"
    assert below[COMMENT].TextValue == "95 % prediction interval 33.2 to 53.0 a"


def test_an_estimate_without_an_interval_claims_none() -> None:
    made = on_ct(conclusions=(age(interval=None),))
    assert concluded(made)[0].estimate is None
    assert "Estimated age 43.1 years." in sentences(made)


@pytest.mark.parametrize(("make", "letter"), [(on_opt, "R"), (on_op, "L"), (on_secondary_capture, "")])
def test_a_key_image_of_an_eye_says_which_or_that_nobody_said(make: Callable[[], ResultRequest], letter: str) -> None:
    assert encoded(make())[ResultKind.KEY_IMAGE].Laterality == letter


def test_a_key_image_of_a_frame_names_it() -> None:
    (reference,) = encoded(on_opt())[ResultKind.KEY_IMAGE].SourceImageSequence
    assert reference.ReferencedFrameNumber == 3


def test_a_code_of_our_own_names_who_is_responsible_for_it() -> None:
    for kind in REPORTS:
        (scheme,) = encoded(on_op())[kind].CodingSchemeIdentificationSequence
        assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeResponsibleOrganization) == ("99RADNODE", "radnode")


def test_the_report_says_in_words_what_was_concluded() -> None:
    *_, tumour, of_sex, of_age = sentences(on_series())
    assert tumour == (
        "Tumour type: meningioma, probability 0.87; glioma 0.10; pituitary tumour 0.03. "
        "Best seen on image 4 of series 2."
    )
    assert of_sex == "Sex: female, probability 0.93; male 0.07."
    assert of_age == "Estimated age 43.1 years (95 % prediction interval 33 to 53)."


def test_the_report_says_in_words_which_eye_and_frame_it_is_about() -> None:
    assert sentences(on_opt())[-1] == (
        "Retinal disease (right eye): drusen, probability 0.90; normal 0.10. "
        "Best seen on frame 3 of image 1 of series 2."
    )
    assert sentences(on_secondary_capture())[-1] == "Retinal disease: drusen, probability 0.90; normal 0.10."


def test_the_report_says_that_a_model_is_experimental() -> None:
    warning = "This model is experimental: nobody should rely on what it says."
    assert warning in sentences(on_secondary_capture())
    assert warning not in sentences(on_op())


def without_anything(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, choices=())


def with_a_number_too(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, measurement=age().measurement)


def with_half_the_probability(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, choices=(replace(MENINGIOMA, probability=0.4), GLIOMA))


def with_an_impossible_probability(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, choices=(replace(DRUSEN, probability=1.2), replace(HEALTHY, probability=-0.2)))


def with_a_probability_that_is_no_number(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, choices=(replace(MENINGIOMA, probability=math.nan), GLIOMA))


def with_the_least_probable_first(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, choices=conclusion.choices[::-1])


def on_a_slice_beyond_the_last(conclusion: Conclusion) -> Conclusion:
    return replace(conclusion, slice_number=5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (without_anything, "either classes or a number"),
        (with_a_number_too, "either classes or a number"),
        (with_half_the_probability, "sum to 1"),
        (with_an_impossible_probability, "0 or more"),
        (with_a_probability_that_is_no_number, "sum to 1"),
        (with_the_least_probable_first, "most probable class first"),
        (on_a_slice_beyond_the_last, "slice 5, expected one of 0 to 4"),
    ],
)
def test_a_conclusion_that_makes_no_sense_is_refused(spoil: Callable[[Conclusion], Conclusion], message: str) -> None:
    with pytest.raises(FindingRefused, match=f"conclusion tumour_type: .*{message}"):
        encode_results(on_series(conclusions=(spoil(tumour_type()),)))


@pytest.mark.parametrize(("value", "interval"), [(math.nan, (0.0, 90.0)), (43.1, (50.0, 60.0)), (math.inf, None)])
def test_an_estimate_outside_its_interval_is_refused(value: float, interval: tuple[float, float] | None) -> None:
    with pytest.raises(FindingRefused, match="conclusion age: it is"):
        encode_results(on_ct(conclusions=(age(value, interval),)))


@pytest.mark.parametrize("kind", [*REPORTS, ResultKind.KEY_IMAGE])
def test_a_result_that_names_a_frame_its_source_does_not_have_is_refused(kind: ResultKind) -> None:
    made = on_opt()
    result = encoded(made)[kind]
    for item in nested(result):
        if "ReferencedFrameNumber" in item:
            item.ReferencedFrameNumber = 5
    with pytest.raises(IdentityMismatch, match=r"names frame 5 of .* expected one of 1 to 4"):
        check_identity(result, made.sources, study_identity(made.source))


def nested(dataset: Dataset) -> list[Dataset]:
    """Return every item at any depth."""
    items = [item for element in dataset if element.VR == "SQ" for item in element.value]
    return [*items, *(below for item in items for below in nested(item))]


def test_a_conclusion_and_a_finding_of_one_job_are_both_reported() -> None:
    mask = np.zeros((5, 13, 11), dtype=bool)
    mask[2, 3:8, 4:9] = True
    both = on_series(findings=(finding(mask, is_measured=False),))
    assert [result.kind for result in encode_results(both)] == [
        ResultKind.SEGMENTATION,
        ResultKind.MEASUREMENT_REPORT,
        *REPORTS,
        ResultKind.TEXT_REPORT,
        ResultKind.KEY_IMAGE,
    ]


def test_every_object_is_a_part_10_file_of_its_own_class(made: ResultRequest) -> None:
    for result in encode_results(made):
        dataset = dcmread(BytesIO(result.encoded))
        assert (dataset.SOPClassUID, dataset.SOPInstanceUID) == (result.sop_class_uid, result.sop_instance_uid)
