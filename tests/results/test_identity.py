"""The wrong-patient guard: what belongs together passes, anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from io import BytesIO

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom import dcmread, dcmwrite, uid
from pydicom.dataset import Dataset
from results.lung_requests import encoded, finding, request

from node.errors import IdentityMismatch
from node.results.encode import encode_results
from node.results.identity import PATIENT_ATTRIBUTES, STUDY_ATTRIBUTES, check_identity
from node.results.request import KeyPicture, ResultKind, ResultObject
from node.vocabulary import StudyIdentity, study_identity

OTHER_UID = "2.25.1234567890"
KEYWORDS = [*STUDY_ATTRIBUTES, *PATIENT_ATTRIBUTES]
OF_A_FINDING = (
    ResultKind.SEGMENTATION,
    ResultKind.MEASUREMENT_REPORT,
    ResultKind.CONTOUR_REPORT,
    ResultKind.TEXT_REPORT,
    ResultKind.KEY_IMAGE,
)
REFERRING = (
    ResultKind.SEGMENTATION,
    ResultKind.MEASUREMENT_REPORT,
    ResultKind.CONTOUR_REPORT,
    ResultKind.KEY_IMAGE,
)


@pytest.fixture
def source() -> Dataset:
    return chest_dx(shaded_picture())


@pytest.fixture(scope="module")
def objects() -> tuple[ResultObject, ...]:
    mask = np.zeros((61, 47), dtype=bool)
    mask[5:30, 7:40] = True
    picture = KeyPicture(np.zeros((61, 47), dtype=np.float32))
    return encode_results(request(chest_dx(shaded_picture()), [finding(mask)], picture=picture))


@pytest.fixture
def results(objects: tuple[ResultObject, ...]) -> dict[ResultKind, Dataset]:
    return {result.kind: dcmread(BytesIO(result.encoded)) for result in objects}


def check(results: dict[ResultKind, Dataset], kind: ResultKind, source: Dataset) -> None:
    siblings = [result for other, result in results.items() if other is not kind]
    check_identity(results[kind], [source], study_identity(source), siblings)


@pytest.mark.parametrize("kind", OF_A_FINDING)
def test_results_belong_to_the_instance_they_were_made_from(
    results: dict[ResultKind, Dataset], kind: ResultKind, source: Dataset
) -> None:
    check(results, kind, source)


@pytest.mark.parametrize("keyword", KEYWORDS)
@pytest.mark.parametrize("kind", OF_A_FINDING)
def test_a_result_that_states_another_identity_is_refused(
    results: dict[ResultKind, Dataset], kind: ResultKind, source: Dataset, keyword: str
) -> None:
    setattr(results[kind], keyword, another(results[kind], keyword))
    with pytest.raises(IdentityMismatch, match=f"result .*: {keyword} is"):
        check(results, kind, source)


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_a_source_that_no_longer_states_the_recorded_identity_is_refused(
    results: dict[ResultKind, Dataset], source: Dataset, keyword: str
) -> None:
    recorded = study_identity(source)
    setattr(source, keyword, another(source, keyword))
    with pytest.raises(IdentityMismatch, match=f"source instance .*: {keyword} is"):
        check_identity(results[ResultKind.SEGMENTATION], [source], recorded)


@pytest.mark.parametrize("field", [field.name for field in fields(StudyIdentity)])
def test_a_row_that_records_another_identity_stops_the_result(
    results: dict[ResultKind, Dataset], source: Dataset, field: str
) -> None:
    recorded = replace(study_identity(source), **{field: "19991231"})
    with pytest.raises(IdentityMismatch):
        check_identity(results[ResultKind.SEGMENTATION], [source], recorded)


def another(dataset: Dataset, keyword: str) -> str:
    return {"StudyDate": "19991231", "PatientBirthDate": "19991231", "PatientSex": "F"}.get(keyword, OTHER_UID)


def test_a_patient_is_not_named_in_the_message(results: dict[ResultKind, Dataset], source: Dataset) -> None:
    segmentation = results[ResultKind.SEGMENTATION]
    segmentation.PatientName = "Geheim^Egon"
    with pytest.raises(IdentityMismatch) as refusal:
        check_identity(segmentation, [source], study_identity(source))
    assert "Geheim" not in str(refusal.value)
    assert "Phantom" not in str(refusal.value)


def first_reference(item: Dataset) -> Dataset:
    """Return the first item with a Referenced SOP Instance UID, at any depth."""
    for element in item:
        for child in element.value if element.VR == "SQ" else ():
            found = child if "ReferencedSOPInstanceUID" in child else first_reference(child)
            if "ReferencedSOPInstanceUID" in found:
                return found
    return Dataset()


@pytest.mark.parametrize("kind", REFERRING)
@pytest.mark.parametrize("keyword", ["ReferencedSOPInstanceUID", "ReferencedSOPClassUID"])
def test_a_result_that_refers_to_another_instance_is_refused(
    results: dict[ResultKind, Dataset], kind: ResultKind, source: Dataset, keyword: str
) -> None:
    other = OTHER_UID if keyword == "ReferencedSOPInstanceUID" else uid.CTImageStorage
    setattr(first_reference(results[kind]), keyword, other)
    with pytest.raises(IdentityMismatch, match=r"referenced instance|SOP class"):
        check(results, kind, source)


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID"])
def test_evidence_in_another_study_or_series_is_refused(
    results: dict[ResultKind, Dataset], source: Dataset, keyword: str
) -> None:
    (study,) = results[ResultKind.TEXT_REPORT].CurrentRequestedProcedureEvidenceSequence
    holder = study if keyword == "StudyInstanceUID" else study.ReferencedSeriesSequence[0]
    setattr(holder, keyword, OTHER_UID)
    with pytest.raises(IdentityMismatch, match=r"referenced study|referenced series"):
        check(results, ResultKind.TEXT_REPORT, source)


def test_evidence_filed_under_the_series_of_a_sibling_is_refused(
    results: dict[ResultKind, Dataset], source: Dataset
) -> None:
    (study,) = results[ResultKind.TEXT_REPORT].CurrentRequestedProcedureEvidenceSequence
    study.ReferencedSeriesSequence[0].SeriesInstanceUID = results[ResultKind.SEGMENTATION].SeriesInstanceUID
    with pytest.raises(IdentityMismatch, match=r"series of"):
        check(results, ResultKind.TEXT_REPORT, source)


def test_a_report_on_a_segmentation_that_is_not_sent_with_it_is_refused(
    results: dict[ResultKind, Dataset], source: Dataset
) -> None:
    with pytest.raises(IdentityMismatch, match="referenced"):
        check_identity(results[ResultKind.MEASUREMENT_REPORT], [source], study_identity(source))


@pytest.mark.parametrize("keyword", ["PatientID", "PatientName", "PatientBirthDate", "AccessionNumber"])
def test_patient_and_accession_number_are_among_what_is_compared(
    results: dict[ResultKind, Dataset], source: Dataset, keyword: str
) -> None:
    setattr(results[ResultKind.TEXT_REPORT], keyword, "19010101" if "Date" in keyword else "OTHER")
    with pytest.raises(IdentityMismatch, match=keyword):
        check(results, ResultKind.TEXT_REPORT, source)


def test_a_result_that_refers_to_nothing_is_refused(results: dict[ResultKind, Dataset], source: Dataset) -> None:
    del results[ResultKind.TEXT_REPORT].CurrentRequestedProcedureEvidenceSequence
    with pytest.raises(IdentityMismatch, match="refers to no instance"):
        check(results, ResultKind.TEXT_REPORT, source)


def test_a_result_without_sources_is_refused(results: dict[ResultKind, Dataset], source: Dataset) -> None:
    with pytest.raises(IdentityMismatch, match="no source instance"):
        check_identity(results[ResultKind.TEXT_REPORT], [], study_identity(source))


def claim_a_frame_of_reference(segmentation: Dataset) -> None:
    segmentation.FrameOfReferenceUID = OTHER_UID


def move_a_frame(segmentation: Dataset) -> None:
    frame = segmentation.PerFrameFunctionalGroupsSequence[0]
    frame.PlanePositionSequence[0].ImagePositionPatient = [0, 0, 0.5]


@pytest.mark.parametrize("displace", [claim_a_frame_of_reference, move_a_frame])
def test_a_segmentation_that_lies_elsewhere_is_refused(
    results: dict[ResultKind, Dataset], source: Dataset, displace: Callable[[Dataset], None]
) -> None:
    displace(results[ResultKind.SEGMENTATION])
    with pytest.raises(IdentityMismatch, match=r"FrameOfReferenceUID|frame 1"):
        check(results, ResultKind.SEGMENTATION, source)


def test_a_source_in_another_character_set_has_the_same_identity(results: dict[ResultKind, Dataset]) -> None:
    latin = chest_dx(shaded_picture(), SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Jürgen")
    part10 = BytesIO()
    dcmwrite(part10, latin, enforce_file_format=True)
    received = dcmread(BytesIO(part10.getvalue()))
    mask = np.ones((61, 47), dtype=bool)
    for result in encoded(request(received, [])).values():
        check_identity(result, [received], replace(study_identity(received), patient_name="Müller^Jürgen"))
    assert encoded(request(received, [finding(mask)]))[ResultKind.SEGMENTATION].SpecificCharacterSet == "ISO_IR 192"


def test_every_attribute_of_a_recorded_identity_is_compared() -> None:
    compared = {*STUDY_ATTRIBUTES.values(), *PATIENT_ATTRIBUTES.values()}
    assert compared == {field.name for field in fields(StudyIdentity)}
