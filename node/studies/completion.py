"""Completion: the evidence that all of a study has arrived, and the evidence that it has not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from node.studies.positions import find_gap, orientation_of
from node.studies.rules import count_slices
from node.studies.traits import IndexedInstance, IndexedSeries, stated_number

# Slices of one stack share these; without them a second phase would hide a hole in the first.
_STACK_KEYWORDS = ("EchoNumbers", "EchoTime", "TemporalPositionIdentifier", "ImageType")


@dataclass(frozen=True)
class Evidence:
    """What the instances of a study say of those to come.

    `all_there` is the sentence that proves it complete, `missing` those on what is not there yet;
    either may be empty.
    """

    all_there: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patience:
    """How long (seconds) nothing may arrive before a study is complete, without and with something missing."""

    quiet_seconds: float
    gap_seconds: float


def weigh_evidence(series: Sequence[IndexedSeries]) -> Evidence:
    """Compare what has arrived with the counts that its headers state, and look for holes between slices.

    Only a count for the whole study proves that it is complete, and then a hole will stay one. What is
    stated of a series or an acquisition says nothing of the series still to come, and can only show
    that something is missing.
    """
    missing = tuple(sentence for one in series for sentence in _missing_of(one))
    instances = [instance for one in series for instance in one.instances]
    expected = _largest(instances, "NumberOfStudyRelatedInstances")
    if expected is not None and len(instances) >= expected:
        return Evidence(all_there="; ".join((f"all {expected} expected instances", *missing)))
    if expected is not None:
        return Evidence(missing=(f"{len(instances)} of {expected} expected instances", *missing))
    return Evidence(missing=missing) if missing else Evidence(all_there=_all_series_there(series, instances))


def silence_needed(evidence: Evidence, patience: Patience) -> float:
    """Return for how long (seconds) nothing may arrive before a study that no association brings is complete."""
    if evidence.all_there:
        return 0.0
    return max(patience.quiet_seconds, patience.gap_seconds) if evidence.missing else patience.quiet_seconds


def judge_completion(evidence: Evidence, silent_seconds: float, patience: Patience) -> str | None:
    """Return why a study that no association brings is complete now, or None while it may not be."""
    if evidence.all_there:
        return evidence.all_there
    needed_seconds = silence_needed(evidence, patience)
    if silent_seconds < needed_seconds:
        return None
    if not evidence.missing:
        return f"quiet for {needed_seconds:g} s"
    return f"{'; '.join(evidence.missing)}; waited {needed_seconds:g} s"


def _all_series_there(series: Sequence[IndexedSeries], instances: Sequence[IndexedInstance]) -> str:
    """Prove completeness by the number of series (0020,1206), where each states how many instances it has."""
    expected = _largest(instances, "NumberOfStudyRelatedSeries")
    if expected is None or len(series) < expected:
        return ""
    is_counted = all(_largest(one.instances, "NumberOfSeriesRelatedInstances") is not None for one in series)
    return f"all {expected} expected series with {len(instances)} instances" if is_counted else ""


def _missing_of(series: IndexedSeries) -> list[str]:
    """Return a sentence for each thing that a series shows to be missing."""
    missing = []
    expected = _largest(series.instances, "NumberOfSeriesRelatedInstances")
    if expected is not None and len(series.instances) < expected:
        missing.append(f"{len(series.instances)} of {expected} expected instances in {series.name}")
    missing += _missing_of_acquisitions(series)
    stacks: dict[str, list[IndexedInstance]] = defaultdict(list)
    for instance in series.instances:
        shared = [instance.header.get(keyword) for keyword in _STACK_KEYWORDS]
        stacks[str([orientation_of(instance.header), *shared])].append(instance)
    gaps = [find_gap([instance.header for instance in stack]) for stack in stacks.values()]
    return missing + [f"{gap} in {series.name}" for gap in gaps if gap]


def _missing_of_acquisitions(series: IndexedSeries) -> list[str]:
    """Compare with ImagesInAcquisition (0020,1002), which counts the frames of multi-frame instances."""
    acquisitions: dict[float | None, list[IndexedInstance]] = defaultdict(list)
    for instance in series.instances:
        acquisitions[stated_number(instance, "AcquisitionNumber")].append(instance)
    missing = []
    for images in acquisitions.values():
        expected = _largest(images, "ImagesInAcquisition")
        if expected is not None and count_slices(images) < expected:
            missing.append(f"{count_slices(images)} of {expected} images of an acquisition in {series.name}")
    return missing


def _largest(instances: Sequence[IndexedInstance], keyword: str) -> int | None:
    """Return the largest number stated; a sender that counts as it goes states the last one last."""
    stated = [number for instance in instances if (number := stated_number(instance, keyword))]
    return int(max(stated)) if stated else None
