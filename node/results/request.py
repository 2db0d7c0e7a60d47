"""What the encoder is given, findings with their source instances, and the result objects it hands on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from pydicom.dataset import Dataset

from node.errors import FindingRefused, HeaderRefused
from node.imaging.volume import Grid, SliceSource
from node.plain_values import read_text, read_value
from node.vocabulary import Conclusion, EarlierReport, Finding, ModelIdentity, Pixels, QuantityMap, Refinement

REQUIRED_OF_SOURCE = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Rows",
    "Columns",
)

SUM_WITHIN = 1e-3  # of probabilities computed in float32


class ResultKind(StrEnum):
    """What a result object is for; each kind has a series of its own, and each map and each refinement."""

    SEGMENTATION = "segmentation"
    MEASUREMENT_REPORT = "measurement_report"
    CONTOUR_REPORT = "contour_report"
    CONCLUSION_REPORT = "conclusion_report"
    FRAME_REPORT = "frame_report"
    TEXT_REPORT = "text_report"
    KEY_IMAGE = "key_image"
    PARAMETRIC_MAP = "parametric_map"
    DERIVED_SERIES = "derived_series"


@dataclass(frozen=True)
class NodeDevice:
    """The node as the device that made a result: its AE title and the version of radnode."""

    ae_title: str
    version: str


@dataclass(frozen=True)
class KeyPicture:
    """What a key image shows: (rows, columns) of the source in 0..1, 0 black, as it would be displayed.

    `slice_number`, counted from 0, is the slice of the volume's masks that it shows, or the frame of a
    multi-frame instance; None for any other planar image.
    """

    pixels: Pixels
    slice_number: int | None = None


@dataclass(frozen=True)
class ResultRequest:
    """Everything that decides the bytes of a job's result objects; equal requests give equal bytes.

    `sources` are the instances the model saw, one for a planar image; their pixel data may be missing
    and their order decides nothing. `remarks` are complete sentences. `inputs_digest` is the SHA-256,
    in hex, over the study and its input instances. `pinned_at` is the aware time of the job's row: the
    only time a result states as its own. For a volume, whose masks are (slices, rows, columns),
    `slice_sources` and `grid` are those of the volume, and all `slice_sources` are in one series.
    Without `picture` no key image is made. `replaces` are the reports of the revision before, if any.
    """

    sources: tuple[Dataset, ...]
    findings: tuple[Finding, ...]
    remarks: tuple[str, ...]
    model: ModelIdentity
    inputs_digest: str
    pinned_at: datetime
    device: NodeDevice
    slice_sources: tuple[SliceSource, ...] = ()
    grid: Grid | None = None
    picture: KeyPicture | None = None
    conclusions: tuple[Conclusion, ...] = ()
    maps: tuple[QuantityMap, ...] = ()
    refinements: tuple[Refinement, ...] = ()
    replaces: tuple[EarlierReport, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError when only one of `slice_sources` and `grid` is given, or they differ in length."""
        slices = self.grid.shape[0] if self.grid else 0
        if slices != len(self.slice_sources):
            raise ValueError(f"{len(self.slice_sources)} slice sources for a grid of {slices} slices")

    @property
    def is_volume(self) -> bool:
        """Return whether masks have slices, each with a source of its own."""
        return bool(self.slice_sources)

    @cached_property
    def evidence(self) -> tuple[Dataset, ...]:
        """Return the sources in the order of the slices they show, then of their UIDs."""
        rank = {source.sop_instance_uid: number for number, source in enumerate(self.slice_sources)}

        def place(source: Dataset) -> tuple[int, str]:
            uid = read_text(source, "SOPInstanceUID")
            return rank.get(uid, len(self.slice_sources)), uid

        return tuple(sorted(self.sources, key=place))

    @property
    def source(self) -> Dataset:
        """Return the instance that states whose study it is; all sources agree on that."""
        return self.evidence[0]

    @property
    def mask_shape(self) -> tuple[int, ...]:
        """Return the shape every mask must have: (rows, columns), in a volume (slices, rows, columns)."""
        plane = (int(self.source.Rows), int(self.source.Columns))
        return (len(self.slice_sources), *plane) if self.is_volume else plane

    def pictured(self, slice_number: int | None) -> tuple[Dataset, int | None]:
        """Return the instance that a slice or frame, counted from 0, was read from, None being the only one.

        With it comes the number of the frame, counted from 1, in a multi-frame instance.
        """
        if slice_number is None:
            return self.source, None
        if not self.is_volume:
            return self.source, slice_number + 1 if "NumberOfFrames" in self.source else None
        shown = self.slice_sources[slice_number]
        source = next(source for source in self.sources if source.SOPInstanceUID == shown.sop_instance_uid)
        return source, shown.frame_number

    @property
    def picture_count(self) -> int:
        """Return how many slices or frames the sources have."""
        return len(self.slice_sources) or int(self.source.get("NumberOfFrames") or 1)

    @property
    def local_time(self) -> datetime:
        """`pinned_at` in the source's time zone (PS3.3 C.12.1.1.8), or as it is when none is stated."""
        offset = str(self.source.get("TimezoneOffsetFromUTC") or "")
        try:
            zone = datetime.strptime(offset, "%z").tzinfo
        except ValueError:
            return self.pinned_at
        return self.pinned_at.astimezone(zone)


@dataclass(frozen=True)
class ResultObject:
    """One encoded SEG, SR, map or picture: a complete Part 10 file in Explicit VR Little Endian."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    encoded: bytes


def check_request(request: ResultRequest) -> None:
    """Raise HeaderRefused or FindingRefused unless what was concluded can be stated on the source instances."""
    for source in request.sources:
        missing = [keyword for keyword in REQUIRED_OF_SOURCE if not read_value(source, keyword)]
        if missing:
            raise HeaderRefused(
                f"source instance {source.get('SOPInstanceUID', '(no UID)')}: no {', '.join(missing)}; "
                "results must refer to the instance they were made from; have the sender repair the header"
            )
    for finding in request.findings:
        _check_finding(finding, request)
    for conclusion in request.conclusions:
        _check_conclusion(conclusion, request)
    if request.picture is not None and request.picture.pixels.shape != request.mask_shape[-2:]:
        raise FindingRefused(
            f"key image: its picture has shape {request.picture.pixels.shape}, its source {request.mask_shape[-2:]} "
            "(rows, columns); a picture must show the source grid"
        )


def _check_finding(finding: Finding, request: ResultRequest) -> None:
    axes = "(slices, rows, columns)" if request.is_volume else "(rows, columns)"
    if finding.mask.shape != request.mask_shape:
        raise FindingRefused(
            f"finding {finding.name}: its mask has shape {finding.mask.shape}, its source {request.mask_shape} "
            f"{axes}; a model must return masks on the source grid"
        )
    if not finding.mask.any():
        raise FindingRefused(f"finding {finding.name}: its mask is empty; a model must leave out what it did not find")


def _check_conclusion(conclusion: Conclusion, request: ResultRequest) -> None:
    which = f"conclusion {conclusion.name}"
    if bool(conclusion.choices) == (conclusion.measurement is not None):
        raise FindingRefused(f"{which}: expected either classes or a number; a model must conclude one of them")
    probabilities = [choice.probability for choice in conclusion.choices]
    if probabilities and not (min(probabilities) >= 0 and abs(sum(probabilities) - 1) <= SUM_WITHIN):
        raise FindingRefused(
            f"{which}: its probabilities are {probabilities}, expected some of 0 or more that sum to 1; a model must "
            "return a probability for every class"
        )
    if probabilities != sorted(probabilities, reverse=True):
        raise FindingRefused(f"{which}: its probabilities are {probabilities}, expected the most probable class first")
    if conclusion.measurement is not None:
        value, (low, high) = conclusion.measurement.value, conclusion.measurement.interval or (-math.inf, math.inf)
        if not (math.isfinite(value) and low <= value <= high):
            raise FindingRefused(f"{which}: it is {value}, expected a number within its interval of {low} to {high}")
    number = conclusion.slice_number
    if number is not None and not 0 <= number < request.picture_count:
        raise FindingRefused(
            f"{which}: it is shown by slice {number}, expected one of 0 to {request.picture_count - 1}; a model must "
            "name a slice of its source"
        )
