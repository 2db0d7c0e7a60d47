"""What the encoder is given, findings with their source instances, and the result objects it hands on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cached_property

from pydicom.dataset import Dataset

from node.errors import FindingRefused, HeaderRefused
from node.imaging.volume import Grid, SliceSource
from node.vocabulary import Finding, ModelIdentity, Pixels

REQUIRED_OF_SOURCE = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SOPInstanceUID",
    "SOPClassUID",
    "Rows",
    "Columns",
)


class ResultKind(StrEnum):
    """What a result object is for; each kind has a series of its own."""

    SEGMENTATION = "segmentation"
    MEASUREMENT_REPORT = "measurement_report"
    CONTOUR_REPORT = "contour_report"
    TEXT_REPORT = "text_report"
    KEY_IMAGE = "key_image"


@dataclass(frozen=True)
class NodeDevice:
    """The node as the device that made a result: its AE title and the version of radnode."""

    ae_title: str
    version: str


@dataclass(frozen=True)
class KeyPicture:
    """What a key image shows: (rows, columns) of the source in 0..1, 0 black, as it would be displayed.

    `slice_number`, counted from 0, is the slice of the volume's masks that it shows; None for a
    planar image.
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
    Without `picture` no key image is made.
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
            uid = str(source.get("SOPInstanceUID"))
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
    """One encoded SEG, SR or secondary capture: a complete Part 10 file in Explicit VR Little Endian."""

    kind: ResultKind
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    encoded: bytes


def check_request(request: ResultRequest) -> None:
    """Raise HeaderRefused or FindingRefused unless the findings can be stated on the source instances."""
    for source in request.sources:
        missing = [keyword for keyword in REQUIRED_OF_SOURCE if not source.get(keyword)]
        if missing:
            raise HeaderRefused(
                f"source instance {source.get('SOPInstanceUID', '(no UID)')}: no {', '.join(missing)}; "
                "results must refer to the instance they were made from; have the sender repair the header"
            )
    axes = "(slices, rows, columns)" if request.is_volume else "(rows, columns)"
    for finding in request.findings:
        if finding.mask.shape != request.mask_shape:
            raise FindingRefused(
                f"finding {finding.name}: its mask has shape {finding.mask.shape}, its source {request.mask_shape} "
                f"{axes}; a model must return masks on the source grid"
            )
        if not finding.mask.any():
            raise FindingRefused(
                f"finding {finding.name}: its mask is empty; a model must leave out what it did not find"
            )
    if request.picture is not None and request.picture.pixels.shape != request.mask_shape[-2:]:
        raise FindingRefused(
            f"key image: its picture has shape {request.picture.pixels.shape}, its source {request.mask_shape[-2:]} "
            "(rows, columns); a picture must show the source grid"
        )
