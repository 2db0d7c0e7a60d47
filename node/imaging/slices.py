"""One slice of a series before it is a volume: its header, its place, and where its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from pydicom import uid
from pydicom.dataset import Dataset

from node.errors import MixedImages, PixelsRefused, SeriesRefused
from node.imaging.alike import once_if_alike
from node.imaging.attributes import NumberReader
from node.imaging.geometry import Plane, read_plane
from node.imaging.multiframe import MULTIFRAME_CLASSES, frame_headers
from node.imaging.rescale import Rescale, read_rescale
from node.imaging.volume import SliceSource, Unit
from node.plain_values import read_text

SINGLE_FRAME_CLASSES = frozenset({uid.CTImageStorage, uid.MRImageStorage, uid.PositronEmissionTomographyImageStorage})

MOST_BITS = 16  # float32, the widest type of a volume, holds whole numbers of up to 24 bits exactly


@dataclass(frozen=True)
class Slice:
    """A single-frame instance, or one frame of a multi-frame one, with the header of its own.

    `header` states what holds for this slice as a single-frame instance would; `dataset` has the pixel
    data, of which this is the frame with that `index`, counted from 0.
    """

    dataset: Dataset
    header: Dataset
    index: int
    source: SliceSource

    @property
    def name(self) -> str:
        """Return what a refusal calls it."""
        frame = "" if self.source.frame_number is None else f"frame {self.source.frame_number} of "
        return f"{frame}instance {self.source.sop_instance_uid}"

    @cached_property
    def plane(self) -> Plane:
        """Return where it lies; raises MissingGeometry."""
        return read_plane(self.header, self.name)

    @cached_property
    def rescale(self) -> Rescale:
        """Return how its stored values become HU or other numbers; raises PixelsRefused."""
        return _read_grey(self.header)


class _Kind(NamedTuple):
    """What all instances of a series should have in common."""

    series_uid: str
    sop_class_uid: str
    is_part: bool


def slices_of(datasets: Sequence[Dataset]) -> list[Slice]:
    """Return the slices of the instances of one series, in the order given.

    Raises PixelsRefused for a class that has no slices, MixedImages when there are several classes or
    series, and SeriesRefused when a part of a concatenation is missing.
    """
    kinds = [_read_kind(dataset) for dataset in datasets]
    _check_one("SeriesInstanceUID", [kind.series_uid for kind in kinds])
    _check_one("SOPClassUID", [kind.sop_class_uid for kind in kinds])
    _check_concatenation([dataset for dataset, kind in zip(datasets, kinds, strict=True) if kind.is_part])
    return [
        part for dataset, kind in zip(datasets, kinds, strict=True) for part in _slices(dataset, kind.sop_class_uid)
    ]


@once_if_alike("SeriesInstanceUID", "SOPClassUID", "ConcatenationUID")
def _read_kind(dataset: Dataset) -> _Kind:
    return _Kind(
        read_text(dataset, "SeriesInstanceUID"),
        read_text(dataset, "SOPClassUID"),
        bool(read_text(dataset, "ConcatenationUID")),
    )


def _check_one(keyword: str, values: Sequence[str]) -> None:
    if len(set(values)) > 1:
        raise MixedImages(
            f"{keyword}: found {len(set(values))} different ones in {len(values)} instances, expected the instances "
            "of one series and class; choose one series"
        )


def _slices(dataset: Dataset, sop_class_uid: str) -> list[Slice]:
    name = read_text(dataset, "SOPInstanceUID")
    if sop_class_uid in MULTIFRAME_CLASSES:
        headers = frame_headers(dataset)
        return [Slice(dataset, header, index, SliceSource(name, index + 1)) for index, header in enumerate(headers)]
    if sop_class_uid not in SINGLE_FRAME_CLASSES:
        raise PixelsRefused(
            f"SOPClassUID: found {uid.UID(sop_class_uid).name or 'none'}, expected slices of CT, MR or PET, "
            "single-frame, enhanced or legacy converted; route this series to a model made for it"
        )
    frames = NumberReader(dataset, PixelsRefused).whole("NumberOfFrames")
    if frames not in (None, 1):
        raise PixelsRefused(
            f"NumberOfFrames: found {frames} in a {uid.UID(sop_class_uid).name}, expected 1; send each slice as an "
            "instance"
        )
    return [Slice(dataset, dataset, 0, SliceSource(name))]


@once_if_alike(
    "ModalityLUTSequence",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "Modality",
    "FrameType",
    "ImageType",
    "PhotometricInterpretation",
    "BitsStored",
)
def _read_grey(header: Dataset) -> Rescale:
    """Return the rescale; refuse colour, many bits, and inverted pictures, except where HU say what a number means."""
    rescale = read_rescale(header)
    photometric = read_text(header, "PhotometricInterpretation") or "none"
    allowed = ("MONOCHROME2", "MONOCHROME1") if rescale.unit is Unit.HOUNSFIELD else ("MONOCHROME2",)
    if photometric not in allowed:
        raise PixelsRefused(
            f"PhotometricInterpretation: found {photometric}, expected {' or '.join(allowed)}; send the original images"
        )
    bits = NumberReader(header, PixelsRefused).whole("BitsStored")
    if bits is None or bits > MOST_BITS:
        raise PixelsRefused(
            f"BitsStored: found {bits}, expected at most {MOST_BITS}; send the images as the scanner made them"
        )
    return rescale


def _check_concatenation(datasets: Sequence[Dataset]) -> None:
    """Refuse parts of a concatenation (PS3.3 C.7.6.16.2.2.4) of which one is missing; whole ones are joined."""
    parts: dict[str, set[int]] = {}
    totals: dict[str, int] = {}
    for dataset in datasets:
        whole, numbers = read_text(dataset, "ConcatenationUID"), NumberReader(dataset, SeriesRefused)
        parts.setdefault(whole, set()).add(numbers.whole("InConcatenationNumber") or 0)
        totals[whole] = max(totals.get(whole, 0), numbers.whole("InConcatenationTotalNumber") or 0)
    for whole, numbers_found in parts.items():
        expected = totals[whole] or max(numbers_found)
        if numbers_found != set(range(1, expected + 1)):
            raise SeriesRefused(
                f"InConcatenationNumber: found parts {sorted(numbers_found)}, expected 1 to {expected}; send every "
                "part of the concatenation"
            )
