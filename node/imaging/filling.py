"""A volume being filled with its slices: rescaled one by one, apart from what the scanner did not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.errors import PixelsRefused
from node.imaging.intensity import padding_mask
from node.imaging.rescale import FILLER_HU, Values
from node.imaging.slices import Slice
from node.imaging.volume import Unit, Voxels
from node.vocabulary import Mask

_FLOAT32_MAX = float(np.finfo(np.float32).max)


class Filling:
    """A volume of `shape` (slices, rows, columns): int16 until a slice does not fit, then float32."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        self._voxels: Voxels = np.zeros(shape, np.int16)
        self._padding: Mask = np.zeros(shape, np.bool_)
        self._padded: list[int] = []
        self._lows = np.full(shape[0], np.inf)

    def room(self, place: int) -> NDArray[np.int16]:
        """Return where a slice belongs, (rows, columns), to be read there; asked for before anything is `put`."""
        room: NDArray[np.int16] = self._voxels[place].view(np.int16)
        return room

    def settle(self, place: int, stored: NDArray[Any], part: Slice) -> bool:
        """Rescale a slice into its room, where it may lie already; tell whether that is all there is to it.

        Several threads may do this, each to slices of its own. What is not settled has to be `put`.
        """
        if not may_settle(part):
            return False
        low, high = part.rescale.ends(stored)
        if _has_filler(low, part) or not part.rescale.fits_int16(low, high):
            return False
        part.rescale.write_int16(stored, self.room(place))
        self._lows[place] = low
        return True

    def put(self, place: int, stored: NDArray[Any], part: Slice) -> None:
        """Rescale one slice by its own line and keep it, apart from what the scanner did not see."""
        if self._voxels.dtype == np.int16 and self.settle(place, stored, part):
            return
        values = part.rescale.apply(stored)
        masks = [padding_mask(stored, part.dataset)] if _states_padding(part) else []
        if _has_filler(part.rescale.ends(stored)[0], part):
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
            self._lows[place] = low
            self._widen_unless(part.rescale.fits_int16(low, high))
            if max(-low, high) > _FLOAT32_MAX:
                raise PixelsRefused(
                    f"{part.name}: RescaleSlope: found values up to {max(-low, high):g}, expected values that fit 32 "
                    "bits; correct the header and send again"
                )
        self._voxels[place] = values

    def finish(self) -> tuple[Voxels, Mask]:
        """Return the voxels, with the lowest value seen where there was nothing to see, and where that was."""
        lowest = self._lows.min()
        if not np.isfinite(lowest):
            raise PixelsRefused(
                "PixelPaddingValue: found nothing but padding in the whole series, expected a picture; look at the "
                "series at the modality"
            )
        for place in self._padded:
            self._voxels[place][self._padding[place]] = lowest
        return self._voxels, self._padding

    def _widen_unless(self, fits: bool) -> None:
        if not fits and self._voxels.dtype != np.float32:
            self._voxels = self._voxels.astype(np.float32)


def may_settle(part: Slice) -> bool:
    """Tell, without its pixels, whether a slice may be settled: none is that states padding or has fractions."""
    return part.rescale.is_whole and not _states_padding(part)


def _states_padding(part: Slice) -> bool:
    return "PixelPaddingValue" in part.dataset


def _has_filler(low: float, part: Slice) -> bool:
    return low <= FILLER_HU and part.rescale.unit is Unit.HOUNSFIELD
