"""The wrong-patient guard: a result leaves only if it belongs to the instances and the row it came from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pydicom.dataset import Dataset

from node.errors import IdentityMismatch
from node.results.items import Item, item_of
from node.results.placement import WHAT_TO_DO, FrameHeaders, check_derived_plane, check_planes
from node.results.predecessors import PREDECESSORS, check_predecessors
from node.vocabulary import EarlierReport, StudyIdentity, study_identity

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

# How many values a message lists; a series has hundreds of instances.
LONGEST_LIST = 4

SOURCE_SERIES = "121232"  # DCM, Source Series for Segmentation (TID 1411)


def check_identity(
    result: Dataset,
    sources: Sequence[Dataset],
    recorded: StudyIdentity,
    siblings: Sequence[Dataset] = (),
    replaces: Sequence[EarlierReport] = (),
) -> None:
    """Raise IdentityMismatch unless result, source instances and database row agree on whose study it is.

    `siblings` are the other result objects of the job, which the result may refer to. Text is
    compared decoded, so that instances in different character sets can agree. Every instance,
    series and study that the result refers to must be one of the sources or siblings, in that
    series, study and SOP class; as its predecessors it may name the reports that it `replaces`. Every frame
    that states a plane must lie in that of a source it names, and a derived image at the two sources it names.
    """
    _check_result(result, _job(sources, (result, *siblings), recorded))
    check_predecessors(result, replaces)


def check_results(
    results: Sequence[Dataset],
    sources: Sequence[Dataset],
    recorded: StudyIdentity,
    replaces: Sequence[EarlierReport] = (),
) -> None:
    """Raise IdentityMismatch unless all results of a job pass `check_identity`, each a sibling of the others.

    Each source and each result is compared with the row once, so that a derived series of hundreds of
    instances takes seconds.
    """
    job = _job(sources, results, recorded)
    for result in results:
        _check_result(result, job)
        check_predecessors(result, replaces)


@dataclass(frozen=True)
class _Job:
    """What the results of a job may refer to, by SOP Instance UID, and where it lies."""

    classes: dict[str, str]
    series: dict[str, str]
    frame_counts: dict[str, int]
    frames_of_reference: frozenset[str]
    headers: FrameHeaders


def _job(sources: Sequence[Dataset], results: Sequence[Dataset], recorded: StudyIdentity) -> _Job:
    """Compare every source and result with the row; return what they are to each other."""
    if not sources:
        raise IdentityMismatch(f"{len(results)} results: no source instance to compare with; {WHAT_TO_DO}")
    for source in sources:
        _check_study(f"source instance {source.SOPInstanceUID}", study_identity(source), recorded)
    for result in results:
        _check_study(f"result {result.SOPInstanceUID}", study_identity(result), recorded)
    instances = {str(dataset.SOPInstanceUID): dataset for dataset in (*results, *sources)}
    return _Job(
        classes={uid: str(dataset.SOPClassUID) for uid, dataset in instances.items()},
        series={uid: str(dataset.SeriesInstanceUID) for uid, dataset in instances.items()},
        frame_counts={uid: int(dataset.get("NumberOfFrames") or 1) for uid, dataset in instances.items()},
        frames_of_reference=frozenset(str(source.get("FrameOfReferenceUID", "")) for source in sources),
        headers=FrameHeaders(instances),
    )


def _check_result(result: Dataset, job: _Job) -> None:
    which, stated = f"result {result.SOPInstanceUID}", item_of(result)
    _check_references(result, stated, job)
    _check_frame_of_reference(result, job)
    if "PerFrameFunctionalGroupsSequence" in result:
        check_planes(which, stated, job.headers)
    elif "ImagePositionPatient" in result:
        check_derived_plane(which, stated, job.headers)


def _check_study(which: str, found: StudyIdentity, recorded: StudyIdentity) -> None:
    for keyword, attribute in STUDY_ATTRIBUTES.items():
        _expect(which, keyword, getattr(found, attribute), getattr(recorded, attribute))
    for keyword, attribute in PATIENT_ATTRIBUTES.items():
        if getattr(found, attribute) != getattr(recorded, attribute):
            found_value, expected = (_withheld(getattr(identity, attribute)) for identity in (found, recorded))
            raise IdentityMismatch(
                f"{which}: {keyword} is {found_value}, expected the recorded {expected}, not shown here; {WHAT_TO_DO}"
            )


def _withheld(value: str) -> str:
    return f"a value of {len(value)} characters" if value else "empty"


def _check_references(result: Dataset, stated: Item, job: _Job) -> None:
    """Check what the result refers to, and that it refers to something other than itself."""
    which = f"result {result.SOPInstanceUID}"
    every_series = frozenset(job.series.values())
    referred = set()
    for item, within in _nested_items(stated):
        said = item.values
        if "StudyInstanceUID" in said:
            _expect(which, "referenced study", said["StudyInstanceUID"], str(result.StudyInstanceUID))
        if "SeriesInstanceUID" in said:
            _expect_one_of(which, "referenced series", said["SeriesInstanceUID"], every_series)
        if _is_source_series(item):
            _expect_one_of(which, "source series of a segment", said["UID"], every_series)
        if "ReferencedSOPInstanceUID" in said:
            uid = said["ReferencedSOPInstanceUID"]
            _expect_one_of(which, "referenced instance", uid, job.classes)
            _expect(which, f"SOP class of {uid}", said.get("ReferencedSOPClassUID", ""), job.classes[uid])
            _expect(which, f"series of {uid}", within or job.series[uid], job.series[uid])
            _check_frame_numbers(which, item, job.frame_counts[uid])
            referred.add(uid)
    referred.discard(str(result.SOPInstanceUID))
    if not referred:
        raise IdentityMismatch(f"{which}: refers to no instance, expected at least its source; {WHAT_TO_DO}")


def _check_frame_numbers(which: str, reference: Item, frames: int) -> None:
    """Check that a reference names frames, counted from 1, which the instance has."""
    stated = reference.values.get("ReferencedFrameNumber")
    for number in map(int, stated.split("\\") if stated else ()):
        if not 1 <= number <= frames:
            uid = reference.values["ReferencedSOPInstanceUID"]
            raise IdentityMismatch(
                f"{which}: names frame {number} of instance {uid}, expected one of 1 to {frames}; {WHAT_TO_DO}"
            )


def _is_source_series(item: Item) -> bool:
    names = item.items("ConceptNameCodeSequence")
    return "UID" in item.values and bool(names) and names[0].values.get("CodeValue") == SOURCE_SERIES


def _nested_items(stated: Item) -> Iterator[tuple[Item, str]]:
    """Yield every item of every sequence with the UID of the series item that it lies in, or "".

    The predecessors of a report, which no job of its own refers to otherwise, are left to `check_predecessors`.
    """
    pending = [(item, "") for item in stated.below(but=PREDECESSORS)]
    while pending:
        item, around = pending.pop()
        within = item.values.get("SeriesInstanceUID", around)
        yield item, within
        pending.extend((inner, within) for inner in item.below())


def _check_frame_of_reference(result: Dataset, job: _Job) -> None:
    """Let a result leave the frame of reference out, but never claim another."""
    found = result.get("FrameOfReferenceUID")
    if found:
        which = f"result {result.SOPInstanceUID}"
        _expect_one_of(which, "FrameOfReferenceUID", str(found), job.frames_of_reference)


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
