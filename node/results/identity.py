"""The wrong-patient guard: a result leaves only if it belongs to the instances and the row it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom.dataset import Dataset

from node.errors import IdentityMismatch
from node.vocabulary import StudyIdentity, study_identity

# What an error message may not tell, because it ends up in logs.
PATIENT_ATTRIBUTES = {
    "PatientID": "patient_id",
    "PatientName": "patient_name",
    "PatientBirthDate": "patient_birth_date",
    "PatientSex": "patient_sex",
}
STUDY_ATTRIBUTES = {
    "StudyInstanceUID": "study_instance_uid",
    "StudyID": "study_id",
    "StudyDate": "study_date",
    "AccessionNumber": "accession_number",
}

WHAT_TO_DO = "nothing is sent; hold the study and compare the instances with its row"

POSITION_TOLERANCE_MM = 0.01

# What a SEG states of an image that has no place in the patient; see `segmentation.py`.
UNPLACED_POSITION_MM = (0.0, 0.0, 0.0)


def check_identity(
    result: Dataset,
    sources: Sequence[Dataset],
    recorded: StudyIdentity,
    siblings: Sequence[Dataset] = (),
) -> None:
    """Raise IdentityMismatch unless result, source instances and database row agree on whose study it is.

    `siblings` are the other result objects of the job, which the result may refer to. Text is
    compared decoded, so that instances in different character sets can agree. Every instance,
    series and study that the result refers to must be one of the sources or siblings, in that
    series, study and SOP class.
    """
    if not sources:
        raise IdentityMismatch(f"result {result.SOPInstanceUID}: no source instance to compare with; {WHAT_TO_DO}")
    for source in sources:
        _check_study(f"source instance {source.SOPInstanceUID}", study_identity(source), recorded)
    for dataset in (result, *siblings):
        _check_study(f"result {dataset.SOPInstanceUID}", study_identity(dataset), recorded)
    known = {str(dataset.SOPInstanceUID): dataset for dataset in (*sources, *siblings)}
    _check_references(result, known)
    _check_frame_of_reference(result, sources)
    _check_planes(result, known)


def _check_study(which: str, found: StudyIdentity, recorded: StudyIdentity) -> None:
    for keyword, field in STUDY_ATTRIBUTES.items():
        _expect(which, keyword, getattr(found, field), getattr(recorded, field))
    for keyword, field in PATIENT_ATTRIBUTES.items():
        if getattr(found, field) != getattr(recorded, field):
            found_value, expected = (_withheld(getattr(identity, field)) for identity in (found, recorded))
            raise IdentityMismatch(
                f"{which}: {keyword} is {found_value}, expected the recorded {expected}, not shown here; {WHAT_TO_DO}"
            )


def _withheld(value: str) -> str:
    return f"a value of {len(value)} characters" if value else "empty"


def _check_references(result: Dataset, known: dict[str, Dataset]) -> None:
    """Check what the result refers to, and that it refers to something."""
    which = f"result {result.SOPInstanceUID}"
    classes = {uid: str(dataset.SOPClassUID) for uid, dataset in known.items()}
    series = {uid: str(dataset.SeriesInstanceUID) for uid, dataset in known.items()}
    referred = set()
    for item, within in _nested_items(result):
        if "StudyInstanceUID" in item:
            _expect(which, "referenced study", str(item.StudyInstanceUID), str(result.StudyInstanceUID))
        if "SeriesInstanceUID" in item:
            _expect_one_of(which, "referenced series", str(item.SeriesInstanceUID), set(series.values()))
        if "ReferencedSOPInstanceUID" in item:
            uid = str(item.ReferencedSOPInstanceUID)
            _expect_one_of(which, "referenced instance", uid, set(classes))
            _expect(which, f"SOP class of {uid}", str(item.get("ReferencedSOPClassUID", "")), classes[uid])
            _expect(which, f"series of {uid}", within or series[uid], series[uid])
            referred.add(uid)
    if not referred:
        raise IdentityMismatch(f"{which}: refers to no instance, expected at least its source; {WHAT_TO_DO}")


def _nested_items(result: Dataset) -> Iterator[tuple[Dataset, str]]:
    """Yield every item of every sequence with the UID of the series item that it lies in, or ""."""
    pending = [(result, "")]
    while pending:
        dataset, within = pending.pop()
        for element in dataset:
            if element.VR != "SQ":
                continue
            for item in element.value:
                series = str(item.get("SeriesInstanceUID", within))
                yield item, series
                pending.append((item, series))


def _check_frame_of_reference(result: Dataset, sources: Sequence[Dataset]) -> None:
    """Let a result leave the frame of reference out, but never claim another."""
    found = result.get("FrameOfReferenceUID")
    if found:
        stated = {str(source.get("FrameOfReferenceUID", "")) for source in sources}
        _expect_one_of(f"result {result.SOPInstanceUID}", "FrameOfReferenceUID", str(found), stated)


def _check_planes(result: Dataset, known: dict[str, Dataset]) -> None:
    """Each frame must lie where the instance that it names lies."""
    for number, frame in enumerate(result.get("PerFrameFunctionalGroupsSequence", []), start=1):
        if "PlanePositionSequence" not in frame:
            continue
        found = _vector_mm(frame.PlanePositionSequence[0])
        for derivation in frame.get("DerivationImageSequence", []):
            for reference in derivation.get("SourceImageSequence", []):
                expected = _vector_mm(known[str(reference.ReferencedSOPInstanceUID)])
                if any(abs(a - b) > POSITION_TOLERANCE_MM for a, b in zip(found, expected, strict=True)):
                    raise IdentityMismatch(
                        f"result {result.SOPInstanceUID}: frame {number} is at {found} mm, "
                        f"the source it names at {expected} mm; {WHAT_TO_DO}"
                    )


def _vector_mm(dataset: Dataset) -> tuple[float, ...]:
    position = dataset.get("ImagePositionPatient")
    return tuple(float(value) for value in position) if position else UNPLACED_POSITION_MM


def _expect(which: str, attribute: str, found: str, expected: str) -> None:
    if found != expected:
        raise IdentityMismatch(
            f"{which}: {attribute} is {found or 'empty'}, expected {expected or 'empty'}; {WHAT_TO_DO}"
        )


def _expect_one_of(which: str, attribute: str, found: str, allowed: set[str]) -> None:
    if found not in allowed:
        raise IdentityMismatch(
            f"{which}: {attribute} is {found}, expected one of {', '.join(sorted(allowed))}; {WHAT_TO_DO}"
        )
