"""Reads a DX, CR or SC instance of the archive into the picture a radiologist would see."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset

from node.errors import PixelsRefused, SpacingRefused
from node.imaging.attributes import NumberReader
from node.imaging.decoding import decode_frame
from node.imaging.image import PixelSpacing, PlanarImage
from node.imaging.intensity import display_pixels, padding_mask
from node.imaging.laterality import stated_laterality
from node.imaging.spacing import pixel_spacing
from node.vocabulary import Mask, Pixels

READ_CLASSES = frozenset(
    {
        uid.DigitalXRayImageStorageForPresentation,
        uid.ComputedRadiographyImageStorage,
        uid.SecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
        uid.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    }
)

GREY = frozenset({"MONOCHROME1", "MONOCHROME2"})
COLOUR = frozenset({"RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"})

MOST_PIXELS = 100_000_000  # four times the largest detector: more is a mistake or an attack


def read_radiograph(dataset: Dataset) -> PlanarImage:
    """Return the only frame of a projection radiograph as displayed, with what its header says of it.

    Raises PixelsRefused for anything but one grey-scale frame that can be decoded. A spacing that
    cannot be trusted is no reason to refuse: it is left out, with the reason in `spacing_refusal`.
    """
    _check_class(dataset)
    _check_frames(dataset)
    check_photometric(dataset)
    grey, padding = grey_frame(decode_frame(dataset), dataset)
    row_direction, column_direction = _directions(dataset)
    spacing, refusal = _spacing(dataset)
    return PlanarImage(
        pixels=grey,
        padding=padding,
        row_direction=row_direction,
        column_direction=column_direction,
        spacing=spacing,
        spacing_refusal=refusal,
        view_position=str(dataset.get("ViewPosition") or ""),
        laterality=stated_laterality(dataset),
        sop_instance_uid=str(dataset.get("SOPInstanceUID") or ""),
    )


def _check_class(dataset: Dataset) -> None:
    sop_class = uid.UID(str(dataset.get("SOPClassUID") or ""))
    if dataset.get("PresentationIntentType") == "FOR PROCESSING" or "For Processing" in sop_class.name:
        raise PixelsRefused(
            f"PresentationIntentType: found FOR PROCESSING ({sop_class.name}), expected FOR PRESENTATION; have "
            "the modality send the processed image"
        )
    if sop_class not in READ_CLASSES:
        raise PixelsRefused(
            f"SOPClassUID: found {sop_class.name or 'none'}, expected a DX, CR or Secondary Capture image; route "
            "this instance to a model made for it"
        )


def _check_frames(dataset: Dataset) -> None:
    numbers = NumberReader(dataset, PixelsRefused)
    frames = numbers.whole("NumberOfFrames")
    if frames is not None and frames != 1:
        raise PixelsRefused(f"NumberOfFrames: found {frames}, expected 1; send a single radiograph")
    rows, columns = numbers.whole("Rows") or 0, numbers.whole("Columns") or 0
    if not 0 < rows * columns <= MOST_PIXELS:
        raise PixelsRefused(
            f"Rows: found {rows} by {columns} Columns, expected 1 to {MOST_PIXELS} pixels; send the image as the "
            "detector made it"
        )


def check_photometric(header: Dataset) -> None:
    """Refuse pixels that are neither grey nor possibly grey values stored as colour."""
    photometric = str(header.get("PhotometricInterpretation") or "none")
    if photometric not in GREY | COLOUR:
        raise PixelsRefused(
            f"PhotometricInterpretation: found {photometric}, expected MONOCHROME1 or MONOCHROME2; send the original "
            "grey-scale image"
        )


def grey_frame(stored: NDArray[Any], header: Dataset) -> tuple[Pixels, Mask]:
    """Return the displayed pixels of one decoded frame and its padding mask; raises PixelsRefused for colours."""
    photometric = str(header.PhotometricInterpretation)
    if photometric in GREY:
        padding = padding_mask(stored, header)
        return display_pixels(stored, padding, header), padding
    grey = _equal_channels(stored, photometric, header.BitsStored)
    return grey, np.zeros(grey.shape, np.bool_)


def _equal_channels(colours: NDArray[Any], photometric: str, bits: int) -> Pixels:
    """Return one channel of a grey picture stored as colour; VOI does not apply to it (PS3.3 C.11.2)."""
    red = colours[..., 0]
    if not ((colours[..., 1] == red).all() and (colours[..., 2] == red).all()):
        raise PixelsRefused(
            f"PhotometricInterpretation: found {photometric} with colours in it, expected a grey-scale picture; "
            "send the original image, without coloured annotation"
        )
    return (red / np.float64(2**bits - 1)).astype(np.float32)


def _directions(dataset: Dataset) -> tuple[str, str]:
    """Return the two values of PatientOrientation, empty when the header does not state both."""
    stated = dataset.get("PatientOrientation")
    if not stated or isinstance(stated, str) or len(stated) != 2:
        return "", ""
    return str(stated[0]), str(stated[1])


def _spacing(dataset: Dataset) -> tuple[PixelSpacing | None, str]:
    try:
        return pixel_spacing(dataset), ""
    except SpacingRefused as refusal:
        return None, str(refusal)
