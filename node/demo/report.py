"""What came back in a run of the demonstration: read from the PACS, compared with what was expected."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import UID, SegmentationStorage

from node.demo.picture import Overlay, draw_overlay
from node.imaging.radiograph import read_radiograph
from node.results.read_back import read_segments, read_sentences
from node.results.request import ResultKind
from node.studies.overview import EventLine, StudyDetail


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


def report_study(
    detail: StudyDetail, sources: list[Path], returned: list[Path], pictures: Path
) -> StudyReport:
    """Read back what the PACS holds of one study and draw each segmentation on its image.

    `sources` are the files that were sent, `returned` the files in the PACS, both of all studies.
    """
    uid = detail.study.study_instance_uid
    headers = [(path, dcmread(path)) for path in returned]
    mine = [(path, dataset) for path, dataset in headers if dataset.StudyInstanceUID == uid]
    kinds = {delivery.sop_instance_uid: delivery.kind for delivery in detail.deliveries}
    texts = [dataset for _, dataset in mine if kinds.get(dataset.SOPInstanceUID) == ResultKind.TEXT_REPORT]
    masks = [dataset for _, dataset in mine if dataset.SOPClassUID == SegmentationStorage]
    return StudyReport(
        study_instance_uid=uid,
        state=detail.study.state,
        findings=tuple(sentence for text in texts for sentence in read_sentences(text)),
        objects=tuple(_returned(path, dataset, kinds) for path, dataset in mine),
        pictures=tuple(_draw(mask, sources, pictures) for mask in masks),
        durations_ms=_durations(detail.events),
        decisions=tuple(f"{line.rule}: {'; '.join(line.reasons)}" for line in detail.decisions),
        problems=tuple(_problems(detail, [dataset.SOPInstanceUID for _, dataset in mine])),
    )


def _returned(path: Path, dataset: Dataset, kinds: dict[str, str]) -> ReturnedObject:
    kind = kinds.get(dataset.SOPInstanceUID, "not expected")
    return ReturnedObject(kind, UID(dataset.SOPClassUID).name, dataset.SOPInstanceUID, path)


def _problems(detail: StudyDetail, arrived: list[str]) -> list[str]:
    """Compare what the node says it sent with what the PACS holds."""
    counts = Counter(arrived)
    problems = [
        f"{line.kind} {line.sop_instance_uid}: expected once in the PACS, found {counts[line.sop_instance_uid]} times"
        for line in detail.deliveries
        if counts[line.sop_instance_uid] != 1
    ]
    if detail.study.state != "done":
        reasons = [job.reason for job in detail.jobs if job.reason] or [detail.study.reason]
        problems.append(
            f"the study is {detail.study.state}, expected done: {'; '.join(filter(None, reasons))}"
        )
    return problems


def _draw(segmentation: Dataset, sources: list[Path], folder: Path) -> Path:
    """Draw a segmentation on the image it refers to; returns the picture's path."""
    (referenced,) = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    source = next(
        dataset
        for dataset in map(dcmread, sources)
        if dataset.SOPInstanceUID == referenced.ReferencedSOPInstanceUID
    )
    overlays = [
        Overlay(segment.label, segment.mask, segment.colour_rgb) for segment in read_segments(segmentation)
    ]
    caption = f"{source.PatientName} {source.get('StudyDate', '')}: {segmentation.SeriesDescription}"
    path = folder / f"{referenced.ReferencedSOPInstanceUID}.png"
    return draw_overlay(read_radiograph(source), overlays, caption, path)


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
