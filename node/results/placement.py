"""Where a result may lie: its planes in those of the sources it names, or between them where it was derived."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from pydicom.dataset import Dataset

from node.errors import IdentityMismatch
from node.imaging.multiframe import frame_headers
from node.results.items import Item

WHAT_TO_DO = "nothing is sent; hold the study and compare the instances with its row"

POSITION_TOLERANCE_MM = 0.01
COSINE_TOLERANCE = 1e-4
SHARE_TOLERANCE = 0.01  # of the distance between two slices

# What a SEG states of an image that has no place in the patient; see `segmentation.py`.
UNPLACED_POSITION_MM = (0.0, 0.0, 0.0)
UNPLACED_ORIENTATION = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

# Attributes of a plane, the functional group that holds each (PS3.3 C.7.6.16.2), and what tells two apart.
PLANE_ATTRIBUTES = {
    "ImagePositionPatient": ("PlanePositionSequence", UNPLACED_POSITION_MM, POSITION_TOLERANCE_MM),
    "ImageOrientationPatient": ("PlaneOrientationSequence", UNPLACED_ORIENTATION, COSINE_TOLERANCE),
}


class FrameHeaders:
    """A header for each frame of the instances that results may name, made when it is first asked for."""

    def __init__(self, instances: Mapping[str, Dataset]) -> None:
        """Know these instances, by SOP Instance UID."""
        self._instances = instances
        self._frames: dict[str, list[Dataset]] = {}

    def of(self, uid: str) -> list[Dataset]:
        """Return the headers of an instance, one if it is not multi-frame."""
        if uid not in self._frames:
            instance = self._instances[uid]
            is_enhanced = "PerFrameFunctionalGroupsSequence" in instance
            self._frames[uid] = frame_headers(instance) if is_enhanced else [instance]
        return self._frames[uid]


def check_planes(result: str, stated: Item, headers: FrameHeaders) -> None:
    """Raise IdentityMismatch unless each frame lies where the instance, and in it the frame, that it names lies."""
    shared = stated.items("SharedFunctionalGroupsSequence") or [Item()]
    for number, frame in enumerate(stated.items("PerFrameFunctionalGroupsSequence"), start=1):
        which = f"{result}, frame {number}"
        planes = _stated_plane(frame, shared[0])
        if "ImagePositionPatient" not in planes:
            continue
        references = list(_source_images(frame))
        if not references:
            raise IdentityMismatch(f"{which}: names no source image, expected the one it lies in; {WHAT_TO_DO}")
        for reference in references:
            _expect_plane(which, planes, _named_frame(which, reference, headers))


def check_derived_plane(which: str, stated: Item, headers: FrameHeaders) -> None:
    """Raise IdentityMismatch unless a derived image lies parallel to, and at, the two slices that it names.

    Beside them it may lie within half of their distance, as far as the outermost slices reach; and no
    further aside in the plane than a pixel of theirs.
    """
    named = [_named_frame(which, reference, headers) for reference in stated.items("SourceImageSequence")]
    if len(named) != 2:
        raise IdentityMismatch(f"{which}: names {len(named)} source slices, expected the 2 it lies at; {WHAT_TO_DO}")
    orientation = _stated_numbers(stated, "ImageOrientationPatient")
    for source in named:
        _expect_plane(which, {"ImageOrientationPatient": orientation}, source)
    first, second = (np.array(_numbers(source.ImagePositionPatient)) for source in named)
    normal = np.cross(orientation[:3], orientation[3:])
    way = np.array(_stated_numbers(stated, "ImagePositionPatient")) - first
    share = float(way @ normal) / (float((second - first) @ normal) or np.inf)
    aside_mm = float(np.linalg.norm(way - share * (second - first)))
    pixel_mm = max(_numbers(named[0].PixelSpacing))
    if not -0.5 - SHARE_TOLERANCE <= share <= 1.5 + SHARE_TOLERANCE or aside_mm > pixel_mm:
        raise IdentityMismatch(
            f"{which}: lies {share:.2f} of the way from the first to the second source slice that it names and "
            f"{aside_mm:.2f} mm aside, expected -0.50 to 1.50 and at most {pixel_mm:.2f} mm; {WHAT_TO_DO}"
        )


def _stated_plane(frame: Item, shared: Item) -> dict[str, tuple[float, ...]]:
    """Return position and orientation of a frame of a result, as far as it states them."""
    stated = {}
    for keyword, (group, _, _) in PLANE_ATTRIBUTES.items():
        items = frame.items(group) or shared.items(group)
        if items:
            stated[keyword] = _stated_numbers(items[0], keyword)
    return stated


def _source_images(frame: Item) -> Iterator[Item]:
    for derivation in frame.items("DerivationImageSequence"):
        yield from derivation.items("SourceImageSequence")


def _named_frame(which: str, reference: Item, headers: FrameHeaders) -> Dataset:
    """Return the header of the one frame that a reference names; an image of one frame needs no number."""
    uid = reference.values["ReferencedSOPInstanceUID"]
    frames = headers.of(uid)
    stated = reference.values.get("ReferencedFrameNumber", "1" if len(frames) == 1 else "")
    number = int(stated) if stated.isdecimal() else 0
    if not 1 <= number <= len(frames):
        raise IdentityMismatch(
            f"{which}: names frame {stated or None} of instance {uid}, expected one of 1 to {len(frames)}; "
            f"{WHAT_TO_DO}"
        )
    return frames[number - 1]


def _expect_plane(which: str, stated: dict[str, tuple[float, ...]], source: Dataset) -> None:
    for keyword, found in stated.items():
        _, unplaced, tolerance = PLANE_ATTRIBUTES[keyword]
        expected = _numbers(source.get(keyword) or unplaced)
        # What is no number is within no tolerance.
        if len(found) != len(expected) or not all(
            abs(one - other) <= tolerance for one, other in zip(found, expected, strict=True)
        ):
            raise IdentityMismatch(f"{which}: {keyword} is {found}, in the source it names {expected}; {WHAT_TO_DO}")


def _stated_numbers(item: Item, keyword: str) -> tuple[float, ...]:
    return tuple(map(float, item.values[keyword].split("\\")))


def _numbers(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
