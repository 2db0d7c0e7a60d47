"""Tells the phases, echoes or orientations in one series apart, by an attribute that makes each a volume."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from pydicom.dataset import Dataset

from node.errors import MissingGeometry, SeriesRefused, SeveralVolumes, SingleSlice
from node.imaging.attributes import words
from node.imaging.geometry import Stack, is_parallel, stack_planes
from node.imaging.slices import Slice, slices_of

# In the order they are tried: what an image shows before when it was made. Time stands last, since
# it also differs within one phase.
ORIENTATION = "ImageOrientationPatient"
SPLITTING = (
    ORIENTATION,
    "ImageType",
    "FrameType",
    "StackID",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "EchoNumbers",
    "EchoTime",
    "EffectiveEchoTime",
    "InversionTime",
    "FlipAngle",
    "DiffusionBValue",
    "DiffusionDirectionality",
    "ComplexImageComponent",
    "SequenceName",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "TriggerTime",
    "KVP",
    "ConvolutionKernel",
    "SliceThickness",
    "ContrastBolusAgent",
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
)

# Parts by these may be single images, such as a localizer, which is left out without loss.
MAY_BE_SINGLE = frozenset({ORIENTATION, "ImageType", "FrameType"})


@dataclass(frozen=True)
class SplitKey:
    """What a part of a series has in common: (keyword, value) of each attribute that sets it apart.

    Empty when the series is one volume.
    """

    attributes: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{keyword} {value}" for keyword, value in self.attributes)


def split_series(datasets: Sequence[Dataset]) -> dict[SplitKey, list[Dataset]]:
    """Return the instances of each volume in a series, with pixel data or without.

    A series that is one volume comes back whole, under the empty key. Raises the SeriesRefused of the
    whole when no attribute makes every part a volume, and SeveralVolumes when the frames of one
    instance belong to several.
    """
    parts = split_slices(slices_of(datasets))
    instances = {key: list({id(part.dataset): part.dataset for part in found}.values()) for key, found in parts.items()}
    if sum(map(len, instances.values())) > len(datasets):
        raise SeveralVolumes(
            f"{_names(parts)}: found {len(parts)} volumes in the frames of one instance, expected one; read them "
            "apart with read_volumes"
        )
    return instances


def split_slices(slices: Sequence[Slice]) -> dict[SplitKey, list[Slice]]:
    """Return the slices of each volume; raises the SeriesRefused of the whole when nothing splits them."""
    try:
        stack_planes([part.plane for part in slices])
    except (MissingGeometry, SingleSlice):
        raise
    except SeriesRefused:
        parts = _consistent_parts(slices)
        if parts is None:
            raise
        return parts
    return {SplitKey(): list(slices)}


def stack_slices(slices: Sequence[Slice]) -> Stack:
    """Return the order and grid of slices that are one volume.

    Raises SeveralVolumes, naming the attribute that tells them apart, when they are several, else the
    SeriesRefused that fits.
    """
    try:
        return stack_planes([part.plane for part in slices])
    except (MissingGeometry, SingleSlice):
        raise
    except SeriesRefused as refusal:
        parts = _consistent_parts(slices)
        if parts is None:
            raise
        found = "; ".join(f"{key} ({len(part)} slices)" for key, part in list(parts.items())[:4])
        raise SeveralVolumes(
            f"{_names(parts)}: found {len(parts)} volumes in one series: {found}; expected one; have "
            f"each sent as a series of its own. As one volume: {refusal}"
        ) from refusal


def _consistent_parts(slices: Sequence[Slice]) -> dict[SplitKey, list[Slice]] | None:
    """Return the first partition whose parts are all volumes: by one attribute, else by two."""
    values = {keyword: _values(slices, keyword) for keyword in SPLITTING}
    telling = [keyword for keyword, found in values.items() if 1 < len(set(found)) < len(slices)]
    for keywords in _choices(telling):
        parts: dict[SplitKey, list[Slice]] = {}
        for index, part in enumerate(slices):
            key = SplitKey(tuple((keyword, values[keyword][index]) for keyword in keywords))
            parts.setdefault(key, []).append(part)
        if _are_volumes(list(parts.values()), may_be_single=set(keywords) <= MAY_BE_SINGLE):
            return dict(sorted(parts.items(), key=lambda item: _sort_key(item[0])))
    return None


def _choices(keywords: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in (1, 2):
        yield from combinations(keywords, size)


def _are_volumes(parts: Sequence[Sequence[Slice]], may_be_single: bool) -> bool:
    """Say whether each part stacks up; at least one must, and single images only where that is allowed."""
    volumes = [part for part in parts if len(part) > 1]
    if not volumes or (len(volumes) < len(parts) and not may_be_single):
        return False
    try:
        for part in volumes:
            stack_planes([one.plane for one in part])
    except SeriesRefused:
        return False
    return True


def _values(slices: Sequence[Slice], keyword: str) -> list[str]:
    """Return what each slice states; directions that are the same but for rounding count as one."""
    if keyword != ORIENTATION:
        return [_written(part, keyword) for part in slices]
    kinds: list[Slice] = []
    found = []
    for part in slices:
        kind = next((kind for kind in kinds if is_parallel(kind.plane, part.plane)), None)
        if kind is None:
            kinds.append(part)
        found.append(_written(kind or part, keyword))
    return found


def _written(part: Slice, keyword: str) -> str:
    return "\\".join(words(part.header, keyword))


def _sort_key(key: SplitKey) -> list[tuple[float, str]]:
    return [(_number(value), value) for _, value in key.attributes]


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return float("inf")


def _names(parts: dict[SplitKey, list[Slice]]) -> str:
    return " and ".join(keyword for keyword, _ in next(iter(parts)).attributes)
