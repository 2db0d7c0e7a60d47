"""Slices are read to where they belong, by threads; what that is not enough for is told apart, to be put there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from volumes import ct_study, enhanced

from node.errors import PixelsRefused
from node.imaging.decoding import decode_frame
from node.imaging.filling import Filling
from node.imaging.frames import settle_native
from node.imaging.slices import Slice, slices_of

SHAPE = (6, 5)
HU = np.random.default_rng(2).integers(-1000, 3000, (40, *SHAPE)).astype(np.int16)


def series(**facts: Any) -> list[Dataset]:
    return ct_study(slices=len(HU), shape=SHAPE, hu=HU, **facts)


def filling_for(slices: Sequence[Slice]) -> Filling:
    return Filling((len(slices), *SHAPE))


@pytest.mark.parametrize(
    ("facts", "is_settled"),
    [
        ({}, True),
        ({"RescaleSlope": 2}, True),
        ({"RescaleSlope": 0.5}, False),
        ({"RescaleIntercept": 0.25}, False),
        ({"RescaleIntercept": 32_000}, False),  # too high for 16 bits
        ({"RescaleIntercept": -3_000}, False),  # some lies below anything that is seen
        ({"PixelPaddingValue": 0}, False),
    ],
)
def test_a_slice_is_settled_where_whole_numbers_of_16_bits_are_all_there_is_to_it(
    facts: dict[str, Any], is_settled: bool
) -> None:
    part = slices_of(series(**facts))[0]
    filling, stored = Filling((2, *SHAPE)), decode_frame(part.dataset)
    assert filling.settle(1, stored, part) is is_settled
    if is_settled:
        np.testing.assert_array_equal(filling.room(1), stored * part.rescale.slope + part.rescale.intercept)
    assert not filling.room(0).any()


@pytest.mark.parametrize("threads", [0, 1, 2, 5])
def test_of_a_series_of_every_kind_what_needs_no_closer_look_is_settled(threads: int) -> None:
    instances = series()
    instances[3].PixelPaddingValue = 0
    instances[7].RescaleSlope = 0.5
    instances[20].RescaleIntercept = -3000
    instances[21].BitsAllocated, instances[21].BitsStored, instances[21].HighBit = 8, 8, 7
    instances[21].PixelData = bytes(30)
    instances[33].compress(uid.RLELossless, generate_instance_uid=False)
    slices = slices_of(instances)
    filling = filling_for(slices)
    settled = settle_native(slices, filling, threads)
    assert set(range(len(slices))) - settled == {3, 7, 20, 21, 33}
    for place in settled:
        np.testing.assert_array_equal(filling.room(place), HU[place])
    for place in (3, 7, 21, 33):  # what cannot be settled is not read for nothing
        assert not filling.room(place).any()


def test_each_frame_of_an_instance_is_settled_in_its_place() -> None:
    slices = slices_of([enhanced(series())])[::-1]
    filling = filling_for(slices)
    assert settle_native(slices, filling) == set(range(len(HU)))
    for place, hu in enumerate(HU[::-1]):
        np.testing.assert_array_equal(filling.room(place), hu)


def test_a_frame_that_is_not_there_is_left_to_who_refuses_it() -> None:
    slices = slices_of(series())
    slices[5] = replace(slices[5], index=1)
    assert settle_native(slices, filling_for(slices)) == set(range(len(HU))) - {5}


def test_what_a_thread_refuses_is_refused() -> None:
    slices = slices_of(series(HighBit=lambda index: 11 if index == 39 else 15))
    with pytest.raises(PixelsRefused, match="HighBit: found 11, expected 15"):
        settle_native(slices, filling_for(slices), threads=2)
