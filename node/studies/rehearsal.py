"""Rehearsal: the rules tried on DICOM files, without a database, a model that runs or a network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from node.catalog import Catalog
from node.settings import Settings
from node.studies.completion import weigh_evidence
from node.studies.header import select_header
from node.studies.selection import ChosenJob, SeriesDecision, apply_rules
from node.studies.traits import IndexedInstance, IndexedSeries


@dataclass(frozen=True)
class AssumedSender:
    """Who is taken to have sent the files, for rules that ask for it."""

    ae_title: str = ""
    address: str = ""


@dataclass(frozen=True)
class ReadFile:
    """The header of one file, or why it could not be read."""

    path: Path
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    instance: IndexedInstance | None = None
    fault: str = ""


@dataclass(frozen=True)
class DecisionLine:
    """Why a rule does or does not take the like instances of a series."""

    study_instance_uid: str
    series_instance_uid: str
    series: str
    instances: int
    rule: str
    is_match: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class JobLine:
    """A job that the rules would queue; its inputs are counted in instances."""

    study_instance_uid: str
    rule: str
    model: str
    inputs: dict[str, int]
    priority: str
    destinations: tuple[str, ...]


@dataclass(frozen=True)
class EvidenceLine:
    """What a study's headers say of instances that are not among the files."""

    study_instance_uid: str
    series: int
    instances: int
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class FaultLine:
    """A file that could not be read."""

    path: str
    fault: str


@dataclass(frozen=True)
class Rehearsal:
    """What the rules make of some files."""

    studies: tuple[EvidenceLine, ...]
    decisions: tuple[DecisionLine, ...]
    jobs: tuple[JobLine, ...]
    faults: tuple[FaultLine, ...]


def read_headers(paths: Iterable[Path], sender: AssumedSender) -> Iterator[ReadFile]:
    """Read the header of each file, up to its pixel data, as the index would keep it."""
    for number, path in enumerate(paths):
        try:
            header = dcmread(path, stop_before_pixels=True)
            instance = IndexedInstance(
                number=number,
                sop_instance_uid=str(header.SOPInstanceUID),
                sha256="",
                sop_class_uid=str(header.SOPClassUID),
                sender=sender.ae_title,
                sender_address=sender.address,
                header=select_header(header),
            )
            yield ReadFile(path, str(header.StudyInstanceUID), str(header.SeriesInstanceUID), instance)
        except (InvalidDicomError, AttributeError, ValueError, EOFError, OSError) as error:
            yield ReadFile(path, fault=f"{type(error).__name__}: {error}")


def rehearse_rules(files: Iterable[ReadFile], settings: Settings, catalog: Catalog) -> Rehearsal:
    """Apply the rules to each study among the files, as the node would once the study is complete.

    Of two files with the same SOP Instance UID the first counts. Raises ModelCardError when a rule
    names a model that is not installed.
    """
    inputs = {rule.model: catalog[rule.model].card.input for rule in settings.rules}
    read = list(files)
    studies = _group_by_study(read)
    decisions: list[DecisionLine] = []
    jobs: list[JobLine] = []
    for uid, series in studies.items():
        selection = apply_rules(settings.rules, inputs, series)
        decisions += [_decision_line(uid, series, decision) for decision in selection.decisions]
        jobs += [_job_line(uid, job) for job in selection.jobs]
    return Rehearsal(
        studies=tuple(_evidence_line(uid, series) for uid, series in studies.items()),
        decisions=tuple(decisions),
        jobs=tuple(jobs),
        faults=tuple(FaultLine(str(file.path), file.fault) for file in read if file.fault),
    )


def _group_by_study(files: Sequence[ReadFile]) -> dict[str, list[IndexedSeries]]:
    instances: dict[str, dict[str, list[IndexedInstance]]] = defaultdict(lambda: defaultdict(list))
    seen: set[str] = set()
    for file in files:
        if file.instance is not None and file.instance.sop_instance_uid not in seen:
            seen.add(file.instance.sop_instance_uid)
            instances[file.study_instance_uid][file.series_instance_uid].append(file.instance)
    return {
        study: [IndexedSeries(uid, tuple(images)) for uid, images in series.items()]
        for study, series in instances.items()
    }


def _decision_line(study: str, series: Sequence[IndexedSeries], decision: SeriesDecision) -> DecisionLine:
    (of_series,) = [one for one in series if one.series_instance_uid == decision.series_instance_uid]
    return DecisionLine(
        study_instance_uid=study,
        series_instance_uid=decision.series_instance_uid,
        series=of_series.title,
        instances=decision.instances,
        rule=decision.rule,
        is_match=decision.is_match,
        reasons=decision.reasons,
    )


def _job_line(study: str, job: ChosenJob) -> JobLine:
    return JobLine(
        study_instance_uid=study,
        rule=job.rule.name,
        model=job.rule.model,
        inputs={role: len(images) for role, images in job.inputs.by_role.items()},
        priority=str(job.rule.priority),
        destinations=job.rule.destination,
    )


def _evidence_line(study: str, series: Sequence[IndexedSeries]) -> EvidenceLine:
    evidence = weigh_evidence(series)
    return EvidenceLine(
        study_instance_uid=study,
        series=len(series),
        instances=sum(len(one.instances) for one in series),
        evidence=evidence.missing or ((evidence.all_there,) if evidence.all_there else ()),
    )
