"""Reads a DX, CR or SC instance of the archive into the picture a radiologist would see."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array

from node.errors import PixelsRefused, SpacingRefused
from node.imaging.attributes import NumberReader
from node.imaging.image import PixelSpacing, PlanarImage
from node.imaging.intensity import Stored, display_pixels, padding_mask
from node.imaging.jpeg_extended import decode_deep_jpeg, is_deep_jpeg
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

# What pydicom and its decoders raise on headers and streams that cannot be decoded.
UNDECODABLE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_radiograph(dataset: Dataset) -> PlanarImage:
    """Return the only frame of a projection radiograph as displayed, with what its header says of it.

    Raises PixelsRefused for anything but one grey-scale frame that can be decoded. A spacing that
    cannot be trusted is no reason to refuse: it is left out, with the reason in `spacing_refusal`.
    """
    _check_class(dataset)
    _check_frames(dataset)
    grey, padding = _grey(dataset)
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


def _grey(dataset: Dataset) -> tuple[Pixels, Mask]:
    """Return the displayed pixels and the padding mask."""
    photometric = str(dataset.get("PhotometricInterpretation") or "none")
    if photometric in GREY:
        stored = _decode(dataset)
        padding = padding_mask(stored, dataset)
        return display_pixels(stored, padding, dataset), padding
    if photometric in COLOUR:
        grey = _equal_channels(_decode(dataset), photometric, dataset.BitsStored)
        return grey, np.zeros(grey.shape, np.bool_)
    raise PixelsRefused(
        f"PhotometricInterpretation: found {photometric}, expected MONOCHROME1 or MONOCHROME2; send the original "
        "grey-scale image"
    )


def _decode(dataset: Dataset) -> Stored:
    """Return stored values as (rows, columns) or, in colour, (rows, columns, 3) RGB."""
    _check_depth(dataset)
    try:
        return _decoded(dataset)
    except UNDECODABLE as error:
        syntax = uid.UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise PixelsRefused(
            f"PixelData: cannot be decoded ({reason}), expected {dataset.Rows} by "
            f"{dataset.Columns} pixels in {syntax.name or 'a stated transfer syntax'}; send the image again, "
            "uncompressed if need be"
        ) from error


def _decoded(dataset: Dataset) -> NDArray[Any]:
    if "PixelData" not in dataset:
        raise PixelsRefused(
            "PixelData: found none, expected the pixels of one frame; send the whole instance, not its header"
        )
    stored = decode_deep_jpeg(dataset) if is_deep_jpeg(dataset) else pixel_array(dataset)
    if stored.shape[:2] != (dataset.Rows, dataset.Columns):
        raise PixelsRefused(
            f"PixelData: found {' by '.join(map(str, stored.shape))} values, expected {dataset.Rows} by "
            f"{dataset.Columns}; send the image again, uncompressed if need be"
        )
    return stored


def _check_depth(dataset: Dataset) -> None:
    """Refuse bits whose place in the stored word is not the only one DICOM allows (PS3.5 8.1.1)."""
    numbers = NumberReader(dataset, PixelsRefused)
    allocated, stored, high = (numbers.whole(word) for word in ("BitsAllocated", "BitsStored", "HighBit"))
    if allocated not in (8, 16, 32) or stored is None or not 1 < stored <= allocated:
        raise PixelsRefused(
            f"BitsStored: found {stored} of BitsAllocated {allocated}, expected 2 to 16 of 8 or 16; correct the "
            "header and send again"
        )
    if high is not None and high != stored - 1:
        raise PixelsRefused(
            f"HighBit: found {high}, expected {stored - 1} (BitsStored - 1); correct the header and send again"
        )


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
