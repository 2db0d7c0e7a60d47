"""What came back in a run of the demonstration: read from the PACS, compared with what was expected."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from node.results.read_back import read_sentences
from node.results.request import ResultKind
from node.studies.overview import EventLine, StudyDetail

UNEXPECTED = "not expected"


@dataclass(frozen=True)
class ReturnedObject:
    """One result object as it lies in the PACS."""

    kind: str
    sop_class: str
    sop_instance_uid: str
    path: Path


@dataclass(frozen=True)
class StudyReport:
    """What became of one study.

    `problems` says what was expected and not found, and is empty when all is well. `durations_ms`
    is in the order in which the steps happen.
    """

    study_instance_uid: str
    state: str
    findings: tuple[str, ...]
    objects: tuple[ReturnedObject, ...]
    pictures: tuple[Path, ...]
    durations_ms: dict[str, float]
    decisions: tuple[str, ...]
    problems: tuple[str, ...]


def report_study(detail: StudyDetail, returned: list[Path], pictures: Path) -> StudyReport:
    """Read back what the PACS holds of one study, and write its key images to the folder `pictures`.

    `returned` are the files in the PACS, of all studies.
    """
    uid = detail.study.study_instance_uid
    headers = [(path, dcmread(path)) for path in returned]
    mine = [(path, dataset) for path, dataset in headers if dataset.StudyInstanceUID == uid]
    kinds = {delivery.sop_instance_uid: delivery.kind for delivery in detail.deliveries}
    by_kind: dict[str, list[Dataset]] = defaultdict(list)
    for _, dataset in mine:
        by_kind[kinds.get(dataset.SOPInstanceUID, UNEXPECTED)].append(dataset)
    return StudyReport(
        study_instance_uid=uid,
        state=detail.study.state,
        findings=tuple(sentence for text in by_kind[ResultKind.TEXT_REPORT] for sentence in read_sentences(text)),
        objects=tuple(_returned(path, dataset, kinds) for path, dataset in mine),
        pictures=tuple(_save_picture(image, pictures) for image in by_kind[ResultKind.KEY_IMAGE]),
        durations_ms=_durations(detail.events),
        decisions=tuple(f"{line.rule}: {'; '.join(line.reasons)}" for line in detail.decisions),
        problems=tuple(_problems(detail, [dataset for _, dataset in mine])),
    )


def _returned(path: Path, dataset: Dataset, kinds: dict[str, str]) -> ReturnedObject:
    kind = kinds.get(dataset.SOPInstanceUID, UNEXPECTED)
    return ReturnedObject(kind, UID(dataset.SOPClassUID).name, dataset.SOPInstanceUID, path)


def _problems(detail: StudyDetail, arrived: list[Dataset]) -> list[str]:
    """Compare what the node says it sent with what the PACS holds and what can be read of it."""
    counts = Counter(dataset.SOPInstanceUID for dataset in arrived)
    problems = [
        f"{line.kind} {line.sop_instance_uid}: expected once in the PACS, found {counts[line.sop_instance_uid]} times"
        for line in detail.deliveries
        if counts[line.sop_instance_uid] != 1
    ]
    problems += [
        f"segmentation {dataset.SOPInstanceUID}: found no pixel in any segment, expected an outline"
        for dataset in arrived
        if dataset.SOPClassUID == SegmentationStorage and not dataset.pixel_array.any()
    ]
    if detail.study.state != "done":
        reasons = [job.reason for job in detail.jobs if job.reason] or [detail.study.reason]
        problems.append(
            f"the study is {detail.study.state}, expected done: {'; '.join(filter(None, reasons))}"
        )
    return problems


def _save_picture(key_image: Dataset, folder: Path) -> Path:
    """Write a key image as PNG; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key_image.SOPInstanceUID}.png"
    Image.fromarray(key_image.pixel_array).save(path)
    return path


def _durations(events: tuple[EventLine, ...]) -> dict[str, float]:
    """Return how long each step took, from the times of the study's events."""
    first = {event.name: event.at for event in reversed(events)}
    last = {event.name: event.at for event in events}
    steps = {
        "receive": (first.get("association opened"), last.get("instance kept")),
        "gather (with quiet time)": (last.get("instance kept"), first.get("study complete")),
        "wait for a worker": (first.get("study complete"), first.get("job claimed")),
        "analyse": (first.get("job claimed"), last.get("job done")),
        "deliver": (last.get("job done"), last.get("delivery sent")),
        "in all": (first.get("association opened"), last.get("delivery sent")),
    }
    spans = {
        step: round((end - start).total_seconds() * 1000, 1)
        for step, (start, end) in steps.items()
        if start and end
    }
    inside = {
        f"analyse: {name.removesuffix('_ms')}": value
        for event in events
        if event.name == "job done"
        for name, value in event.detail.items()
        if name.endswith("_ms")
    }
    return spans | inside
