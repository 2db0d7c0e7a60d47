"""RLE and JPEG-LS of grey frames by imagecodecs, which lets other threads run meanwhile; pydicom's plugins do not.

What decodes a frame here is a plugin of a pydicom decoder: pydicom still finds the frame among its fragments and
looks after signs and spare bits.
"""

from __future__ import annotations

import operator
import struct
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import Decoder, DecodeRunner

from node.errors import PixelsRefused
from node.plain_values import UNREADABLE, read_value, transfer_syntax_of

_PLUGINS = {
    uid.RLELossless: "decode_rle",
    uid.JPEGLSLossless: "decode_jpeg_ls",
    uid.JPEGLSNearLossless: "decode_jpeg_ls",
}
# What has the last word where imagecodecs does not like a frame. GDCM, pydicom's first choice for JPEG-LS, ends the
# process over a stream that has not the rows of its header.
CAREFUL_PLUGINS = {
    uid.RLELossless: "pydicom",
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
}
_RLE_HEADER_BYTES = 64
_END_OF_IMAGE = b"\xff\xd9"  # no two bytes of a JPEG-LS scan are these


def is_unlocked(dataset: Dataset) -> bool:
    """Tell whether other threads can run while a frame of this data set is decoded."""
    try:
        return transfer_syntax_of(dataset) in _PLUGINS and bool(read_value(dataset, "SamplesPerPixel") == 1)
    except UNREADABLE:
        return False


def decode_unlocked(dataset: Dataset, index: int) -> NDArray[Any]:
    """Return what pydicom's `iter_pixels` does for the frame with this index, counted from 0, as (rows, columns).

    Raises what pydicom raises where it or imagecodecs does not like the frame, and PixelsRefused for a stream of
    JPEG-LS that is cut short: no decoder takes that, but CharLS needs a quarter of a minute to say so.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in uid.JPEGLSTransferSyntaxes:
        _check_end(dataset, index)
    stored, _ = next(_decoder(syntax).iter_array(dataset, indices=[index]))
    return stored


def is_available(syntax: str) -> bool:
    """Tell pydicom that the plugins below need nothing that might be missing."""
    return syntax in _PLUGINS


def decode_rle(encoded: bytes, runner: DecodeRunner) -> bytes | bytearray:
    """Return the bytes of a frame in RLE (PS3.5 G), little endian.

    imagecodecs would believe any offset in the header: it gets none that does not lie within the frame.
    """
    sample_bytes, frame_bytes = runner.bits_allocated // 8, int(runner.frame_length(unit="bytes"))
    count, *offsets = struct.unpack_from("<16L", encoded)
    places = [*offsets[:count], len(encoded)]
    if count != sample_bytes or offsets[0] != _RLE_HEADER_BYTES or any(map(operator.ge, places, places[1:])):
        raise ValueError(f"found segments of RLE at {places}, expected {sample_bytes} one after another")
    decoded = imagecodecs.dicomrle_decode(encoded, f"<u{sample_bytes}", out=frame_bytes)
    if len(decoded) != frame_bytes:
        raise ValueError(f"found {len(decoded)} bytes in the segments, expected {frame_bytes}")
    return decoded


def decode_jpeg_ls(encoded: bytes, runner: DecodeRunner) -> bytes:
    """Return the bytes of a frame in JPEG-LS, little endian; samples are as wide as the precision of the stream asks.

    Nothing is decoded unless the stream states the rows and columns of the header.
    """
    samples = np.empty((runner.rows, runner.columns), "<u1" if runner.get_option("jls_precision") <= 8 else "<u2")
    imagecodecs.jpegls_decode(encoded, out=samples)
    runner.set_option("bits_allocated", 8 * samples.itemsize)
    return samples.tobytes()


@cache
def _decoder(syntax: str) -> Decoder:
    decoder = Decoder(uid.UID(syntax))
    decoder.add_plugin("imagecodecs", (__name__, _PLUGINS[uid.UID(syntax)]))
    return decoder


def _check_end(dataset: Dataset, index: int) -> None:
    frames = int(dataset.get("NumberOfFrames") or 1)
    if _END_OF_IMAGE not in get_frame(dataset.PixelData, index, number_of_frames=frames):
        raise PixelsRefused(
            f"PixelData: frame {index + 1} is a JPEG-LS stream without an end, expected the marker EOI; send the whole "
            "image again"
        )
