"""JPEG Extended (process 4) with more than 8 bits, which pydicom hands to no decoder."""

from __future__ import annotations

import gdcm
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import JPEGExtended12Bit


def is_deep_jpeg(dataset: Dataset) -> bool:
    """Say whether the pixels are JPEG Extended of more than 8 bits, as older CR readers send."""
    return dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8


def decode_deep_jpeg(dataset: Dataset, index: int = 0) -> NDArray[np.uint16]:
    """Return the stored values of the frame with this index, counted from 0, as (rows, columns).

    GDCM decodes these streams as dcmtk does, to the last bit. Raises ValueError when the stream
    does not hold Rows by Columns unsigned values of one sample.
    """
    if dataset.SamplesPerPixel != 1 or dataset.BitsAllocated != 16 or dataset.PixelRepresentation != 0:
        raise ValueError(
            f"SamplesPerPixel {dataset.SamplesPerPixel}, BitsAllocated {dataset.BitsAllocated} and "
            f"PixelRepresentation {dataset.PixelRepresentation}, expected 1, 16 and 0 for JPEG Extended"
        )
    buffer = _gdcm_image(dataset, index).GetBuffer()
    if buffer is None:
        raise ValueError("GDCM cannot read the JPEG Extended stream")
    # GDCM hands bytes over as a str; surrogateescape gives them back unchanged.
    values = np.frombuffer(buffer.encode("utf-8", "surrogateescape"), "<u2")
    return values.reshape(dataset.Rows, dataset.Columns).astype(np.uint16)


def _gdcm_image(dataset: Dataset, index: int) -> gdcm.Image:
    fragment = gdcm.Fragment()
    frames = int(dataset.get("NumberOfFrames") or 1)
    fragment.SetByteStringValue(get_frame(dataset.PixelData, index, number_of_frames=frames))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    pixel_data = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    pixel_data.SetValue(fragments.__ref__())

    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetDataElement(pixel_data)
    image.SetPhotometricInterpretation(
        gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2)
    )
    syntax = gdcm.TransferSyntax.GetTSType(str(JPEGExtended12Bit))
    image.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    bits = dataset.BitsStored
    image.SetPixelFormat(gdcm.PixelFormat(1, dataset.BitsAllocated, bits, bits - 1, 0))
    return image
