"""Reads the instances of a series into a volume: sorted, rescaled slice by slice, refused if uneven."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from node.errors import MixedImages, PixelsRefused
from node.imaging.frames import decode_slices
from node.imaging.geometry import Stack, stack_single
from node.imaging.intensity import padding_mask
from node.imaging.rescale import FILLER_HU, Values
from node.imaging.slices import Slice, slices_of
from node.imaging.splitting import SplitKey, split_slices, stack_slices
from node.imaging.volume import Unit, Volume, Voxels
from node.vocabulary import Mask

_INT16 = np.iinfo(np.int16)
_FLOAT32_MAX = float(np.finfo(np.float32).max)

MOST_VOXELS = 4_000_000_000  # 4000 slices of 1000 by 1000: more is a mistake or an attack


def read_volume(datasets: Sequence[Dataset], may_be_single: bool = False, threads: int = 0) -> Volume:
    """Return the one volume that the instances of a series form, whatever their order.

    A single slice is a volume only if it `may_be_single` and states its thickness. What can be is decoded by so
    many `threads`, 0 for as many as there are cores.

    CT is in HU, everything else in stored values after the header's rescale. Voxels are int16 where
    every value is whole and fits, else float32. Raises a SeriesRefused that names what keeps the slices
    from being a volume (SeveralVolumes names the attribute that splits it), and PixelsRefused for pixel
    data that cannot be used.
    """
    slices = slices_of(datasets)
    if may_be_single and len(slices) == 1:
        return build_volume(slices, stack_single(slices[0].plane, slices[0].header))
    return build_volume(slices, stack_slices(slices), threads)


def read_volumes(datasets: Sequence[Dataset]) -> dict[SplitKey, Volume]:
    """Return every volume of a series, split as `split_slices` does; single images are left out.

    Raises like `read_volume`, except that several volumes are welcome.
    """
    parts = split_slices(slices_of(datasets))
    return {key: build_volume(part, stack_slices(part)) for key, part in parts.items() if len(part) > 1}


def build_volume(slices: Sequence[Slice], stack: Stack, threads: int = 0) -> Volume:
    """Decode slices into their places on the grid of the stack, by threads as `read_volume` says."""
    ordered = [slices[index] for index in stack.order]
    unit = ordered[0].rescale.unit
    for part in ordered:
        if part.rescale.unit is not unit:
            raise MixedImages(
                f"{part.name}: RescaleType: found {part.rescale.unit} values, expected {unit} as in "
                f"{ordered[0].name}; send values of one unit in a series"
            )
    _check_amount(stack.grid.shape)
    filling = _Filling(stack.grid.shape)
    for place, stored in decode_slices(ordered, threads):
        filling.put(place, stored, ordered[place])
    voxels, padding = filling.finish()
    return Volume(
        voxels=voxels,
        grid=stack.grid,
        unit=unit,
        padding=padding,
        sources=tuple(part.source for part in ordered),
        frame_of_reference_uid=ordered[0].plane.frame_of_reference_uid,
    )


def _check_amount(shape: tuple[int, int, int]) -> None:
    if math.prod(shape) > MOST_VOXELS:
        raise PixelsRefused(
            f"Rows: found {shape[0]} slices of {shape[1]} by {shape[2]} pixels, expected at most {MOST_VOXELS} voxels; "
            "send the series as the scanner made it"
        )


class _Filling:
    """A volume being filled: int16 until a slice does not fit, then float32."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._voxels: Voxels = np.zeros(shape, np.int16)
        self._padding: Mask = np.zeros(shape, np.bool_)
        self._padded: list[int] = []
        self._lowest = np.inf

    def put(self, place: int, stored: NDArray[Any], part: Slice) -> None:
        """Rescale one slice by its own line and keep it, apart from what the scanner did not see."""
        low, high = part.rescale.ends(stored)
        states_padding = "PixelPaddingValue" in part.dataset
        is_filled = low <= FILLER_HU and part.rescale.unit is Unit.HOUNSFIELD
        fits = self._voxels.dtype == np.int16 and part.rescale.fits_int16(low, high)
        if fits and not states_padding and not is_filled:
            part.rescale.write_int16(stored, self._voxels[place])
            self._lowest = min(self._lowest, low)
            return
        values = part.rescale.apply(stored)
        masks = [padding_mask(stored, part.dataset)] if states_padding else []
        if is_filled:
            masks.append(np.asarray(values <= FILLER_HU))
        self._put_apart(place, values, masks, part)

    def _put_apart(self, place: int, values: Values, masks: Sequence[Mask], part: Slice) -> None:
        """Keep a slice of which something was not seen, or that int16 cannot hold."""
        seen = values
        if masks:
            padding = np.logical_or.reduce(masks)
            seen = values[~padding]
            values[padding] = 0
            self._padding[place] = padding
            self._padded.append(place)
        if seen.size:
            low, high = float(seen.min()), float(seen.max())
            self._lowest = min(self._lowest, low)
            self._widen_unless(part.rescale.fits_int16(low, high))
            if max(-low, high) > _FLOAT32_MAX:
                raise PixelsRefused(
                    f"{part.name}: RescaleSlope: found values up to {max(-low, high):g}, expected values that fit 32 "
                    "bits; correct the header and send again"
                )
        self._voxels[place] = values

    def finish(self) -> tuple[Voxels, Mask]:
        """Return the voxels, with the lowest value seen where there was nothing to see, and where that was."""
        if not np.isfinite(self._lowest):
            raise PixelsRefused(
                "PixelPaddingValue: found nothing but padding in the whole series, expected a picture; look at the "
                "series at the modality"
            )
        for place in self._padded:
            self._voxels[place][self._padding[place]] = self._lowest
        return self._voxels, self._padding

    def _widen_unless(self, fits: bool) -> None:
        if not fits and self._voxels.dtype != np.float32:
            self._voxels = self._voxels.astype(np.float32)
