"""The wrong-patient guard: a result leaves only if it belongs to the instances and the row it came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache

from pydicom.dataset import Dataset

from node.errors import IdentityMismatch
from node.imaging.multiframe import frame_headers
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

# How many values a message lists; a series has hundreds of instances.
LONGEST_LIST = 4

POSITION_TOLERANCE_MM = 0.01
COSINE_TOLERANCE = 1e-4

# What a SEG states of an image that has no place in the patient; see `segmentation.py`.
UNPLACED_POSITION_MM = (0.0, 0.0, 0.0)
UNPLACED_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

SOURCE_SERIES = "121232"  # DCM, Source Series for Segmentation (TID 1411)

# Attributes of a plane, the functional group that holds each (PS3.3 C.7.6.16.2), and what tells two apart.
PLANE_ATTRIBUTES = {
    "ImagePositionPatient": ("PlanePositionSequence", UNPLACED_POSITION_MM, POSITION_TOLERANCE_MM),
    "ImageOrientationPatient": ("PlaneOrientationSequence", UNPLACED_ORIENTATION, COSINE_TOLERANCE),
}


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
    series, study and SOP class. Every frame that states a plane must lie in that of a source it names.
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
    every_series = set(series.values())
    referred = set()
    for item, within in _nested_items(result):
        if "StudyInstanceUID" in item:
            _expect(which, "referenced study", str(item.StudyInstanceUID), str(result.StudyInstanceUID))
        if "SeriesInstanceUID" in item:
            _expect_one_of(which, "referenced series", str(item.SeriesInstanceUID), every_series)
        if _is_source_series(item):
            _expect_one_of(which, "source series of a segment", str(item.UID), every_series)
        if "ReferencedSOPInstanceUID" in item:
            uid = str(item.ReferencedSOPInstanceUID)
            _expect_one_of(which, "referenced instance", uid, classes)
            _expect(which, f"SOP class of {uid}", str(item.get("ReferencedSOPClassUID", "")), classes[uid])
            _expect(which, f"series of {uid}", within or series[uid], series[uid])
            referred.add(uid)
    if not referred:
        raise IdentityMismatch(f"{which}: refers to no instance, expected at least its source; {WHAT_TO_DO}")


def _is_source_series(item: Dataset) -> bool:
    names = item.get("ConceptNameCodeSequence")
    return "UID" in item and bool(names) and names[0].get("CodeValue") == SOURCE_SERIES


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
    """Each frame must lie where the instance, and in it the frame, that it names lies."""

    @cache
    def headers(uid: str) -> list[Dataset]:
        instance = known[uid]
        return frame_headers(instance) if "PerFrameFunctionalGroupsSequence" in instance else [instance]

    shared = result.get("SharedFunctionalGroupsSequence") or [Dataset()]
    for number, frame in enumerate(result.get("PerFrameFunctionalGroupsSequence", []), start=1):
        which = f"result {result.SOPInstanceUID}, frame {number}"
        planes = _stated_plane(frame, shared[0])
        if "ImagePositionPatient" not in planes:
            continue
        references = list(_source_images(frame))
        if not references:
            raise IdentityMismatch(f"{which}: names no source image, expected the one it lies in; {WHAT_TO_DO}")
        for reference in references:
            source = _named_frame(which, reference, headers(str(reference.ReferencedSOPInstanceUID)))
            _expect_plane(which, planes, source)


def _stated_plane(frame: Dataset, shared: Dataset) -> dict[str, tuple[float, ...]]:
    """Return position and orientation of a frame of a result, as far as it states them."""
    stated = {}
    for keyword, (group, _, _) in PLANE_ATTRIBUTES.items():
        items = frame.get(group) or shared.get(group)
        if items:
            stated[keyword] = _numbers(items[0][keyword].value)
    return stated


def _source_images(frame: Dataset) -> Iterator[Dataset]:
    for derivation in frame.get("DerivationImageSequence", []):
        yield from derivation.get("SourceImageSequence", [])


def _named_frame(which: str, reference: Dataset, frames: Sequence[Dataset]) -> Dataset:
    """Return the header of the one frame that a reference names; an image of one frame needs no number."""
    number = reference.get("ReferencedFrameNumber", 1 if len(frames) == 1 else None)
    if not isinstance(number, int) or not 1 <= number <= len(frames):
        raise IdentityMismatch(
            f"{which}: names frame {number} of instance {reference.ReferencedSOPInstanceUID}, expected one of "
            f"1 to {len(frames)}; {WHAT_TO_DO}"
        )
    return frames[number - 1]


def _expect_plane(which: str, stated: dict[str, tuple[float, ...]], source: Dataset) -> None:
    for keyword, found in stated.items():
        _, unplaced, tolerance = PLANE_ATTRIBUTES[keyword]
        expected = _numbers(source.get(keyword) or unplaced)
        if len(found) != len(expected) or any(
            abs(one - other) > tolerance for one, other in zip(found, expected, strict=True)
        ):
            raise IdentityMismatch(f"{which}: {keyword} is {found}, in the source it names {expected}; {WHAT_TO_DO}")


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _expect(which: str, attribute: str, found: str, expected: str) -> None:
    if found != expected:
        raise IdentityMismatch(
            f"{which}: {attribute} is {found or 'empty'}, expected {expected or 'empty'}; {WHAT_TO_DO}"
        )


def _expect_one_of(which: str, attribute: str, found: str, allowed: Collection[str]) -> None:
    if found not in allowed:
        raise IdentityMismatch(f"{which}: {attribute} is {found}, expected {_listed(allowed)}; {WHAT_TO_DO}")


def _listed(allowed: Collection[str]) -> str:
    if len(allowed) > LONGEST_LIST:
        return f"that of one of the {len(allowed)} sources and siblings"
    return f"one of {', '.join(sorted(allowed))}"
