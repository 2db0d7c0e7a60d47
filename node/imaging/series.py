"""Reads the instances of a series into a volume: sorted, rescaled slice by slice, refused if uneven."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pydicom.dataset import Dataset

from node.errors import MixedImages, PixelsRefused
from node.imaging.filling import Filling
from node.imaging.frames import decode_slices, settle_native
from node.imaging.geometry import Stack, stack_single
from node.imaging.slices import Slice, slices_of
from node.imaging.splitting import SplitKey, split_slices, stack_slices
from node.imaging.volume import Volume

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
    filling = Filling(stack.grid.shape)
    settled = settle_native(ordered, filling, threads)
    rest = [place for place in range(len(ordered)) if place not in settled]
    for number, stored in decode_slices([ordered[place] for place in rest], threads):
        filling.put(rest[number], stored, ordered[rest[number]])
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
