"""Masks as the bits of a BINARY SEG's pixel data."""

from __future__ import annotations

from collections.abc import Iterable
from io import BytesIO

import numpy as np

from node.vocabulary import Mask


def pack_bits(masks: Iterable[Mask]) -> bytes:
    """Return the pixels of the frames one after the other, the first in the lowest bit (PS3.5 8.1.1).

    A frame does not begin on a byte boundary unless rows x columns is a multiple of 8. The result is
    padded to an even length (PS3.5 8.2).
    """
    packed = BytesIO()
    begun = np.empty(0, dtype=bool)
    for mask in masks:
        pixels = mask.reshape(-1)
        if begun.size:
            pixels = np.concatenate((begun, pixels))
        whole = len(pixels) // 8 * 8
        packed.write(np.packbits(pixels[:whole], bitorder="little").data)
        begun = pixels[whole:]
    packed.write(np.packbits(begun, bitorder="little").data)
    packed.write(b"\0" * (packed.tell() % 2))
    return packed.getvalue()
