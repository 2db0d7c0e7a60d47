"""Reads pictures of an eye, tomography or photography of one or many frames, as they would be displayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pydicom import uid
from pydicom.dataset import Dataset

from node.errors import PixelsRefused
from node.imaging.attributes import NumberReader
from node.imaging.decoding import decode_frames
from node.imaging.image import PlanarImage
from node.imaging.laterality import stated_laterality
from node.imaging.multiframe import frame_headers
from node.imaging.radiograph import check_photometric, grey_frame

EYE_CLASSES = frozenset({uid.OphthalmicTomographyImageStorage, uid.OphthalmicPhotography8BitImageStorage})
CAPTURE_CLASSES = frozenset(
    {uid.SecondaryCaptureImageStorage, uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage}
)
EYE_MODALITIES = frozenset({"OPT", "OP"})

MOST_PIXELS = 400_000_000  # 700 frames of 1024 by 512: more is a mistake or an attack


@dataclass(frozen=True)
class PlanarFrames(PlanarImage):
    """The frames of one instance in the order stored; as a planar image it is the first of them."""

    frames: tuple[PlanarImage, ...] = ()


def is_eye(dataset: Dataset) -> bool:
    """Say whether an instance shows an eye: by its SOP class, or as a capture by its modality."""
    sop_class = uid.UID(str(dataset.get("SOPClassUID") or ""))
    modality = str(dataset.get("Modality") or "")
    return sop_class in EYE_CLASSES or (sop_class in CAPTURE_CLASSES and modality in EYE_MODALITIES)


def read_eye(dataset: Dataset) -> PlanarFrames:
    """Return every frame as displayed, with the side of the eye where the header states it.

    Raises PixelsRefused for anything but grey-scale frames of an eye that can be decoded.
    """
    _check_class(dataset)
    check_photometric(dataset)
    headers = _headers(dataset)
    side, instance = stated_laterality(dataset), str(dataset.get("SOPInstanceUID") or "")
    frames = []
    for header, stored in zip(headers, decode_frames(dataset, range(len(headers))), strict=True):
        pixels, padding = grey_frame(stored, header)
        frames.append(PlanarImage(pixels, padding, laterality=side, sop_instance_uid=instance))
    first = frames[0]
    return PlanarFrames(
        first.pixels, first.padding, laterality=side, sop_instance_uid=instance, frames=tuple(frames)
    )


def frames_of(image: PlanarImage) -> tuple[PlanarImage, ...]:
    """Return the frames of an image; an image without frames is its only one."""
    return image.frames if isinstance(image, PlanarFrames) else (image,)


def _check_class(dataset: Dataset) -> None:
    if not is_eye(dataset):
        sop_class = uid.UID(str(dataset.get("SOPClassUID") or ""))
        raise PixelsRefused(
            f"SOPClassUID: found {sop_class.name or 'none'} of modality {dataset.get('Modality') or 'none'}, expected "
            "ophthalmic tomography, 8-bit photography, or a capture of modality OPT or OP; route this instance to a "
            "model made for it"
        )


def _headers(dataset: Dataset) -> Sequence[Dataset]:
    """Return the header that holds for each frame, after checking how many there are."""
    numbers = NumberReader(dataset, PixelsRefused)
    frames = numbers.whole("NumberOfFrames") or 1
    rows, columns = numbers.whole("Rows") or 0, numbers.whole("Columns") or 0
    if not 0 < frames * rows * columns <= MOST_PIXELS:
        raise PixelsRefused(
            f"NumberOfFrames: found {frames} of {rows} by {columns} pixels, expected 1 to {MOST_PIXELS} pixels "
            "together; send the image as the camera made it"
        )
    if "PerFrameFunctionalGroupsSequence" in dataset:
        return frame_headers(dataset)
    return [dataset] * frames
