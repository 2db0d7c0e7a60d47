"""Connected areas of a mask."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

from node.imaging.components import largest_components
from node.vocabulary import Mask


def test_the_largest_areas_come_first_and_small_ones_are_left_out() -> None:
    mask = np.zeros((20, 20), np.bool_)
    mask[0:2, 0:2] = True
    mask[5:10, 5:10] = True
    mask[12:15, 12:15] = True
    areas = largest_components(mask, most=2, least_pixels=1)
    assert [int(area.sum()) for area in areas] == [25, 9]
    assert [int(area.sum()) for area in largest_components(mask, most=5, least_pixels=5)] == [25, 9]


def test_areas_that_touch_at_a_corner_are_one() -> None:
    mask = np.eye(4, dtype=np.bool_)
    assert len(largest_components(mask, most=4, least_pixels=1)) == 1


def test_an_empty_mask_has_no_areas() -> None:
    assert largest_components(np.zeros((5, 5), np.bool_), most=2, least_pixels=0) == []


@pytest.mark.parametrize("shape", [(30,), (17, 23), (7, 9, 8)])
@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_areas_are_those_of_itk_in_its_order(shape: tuple[int, ...], share: float) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        mask = random.random(shape) < share
        areas = largest_components(mask, most=9, least_pixels=2)
        expected = areas_of_itk(mask, 9, 2)
        assert len(areas) == len(expected)
        assert all(np.array_equal(*pair) for pair in zip(areas, expected, strict=True))


def areas_of_itk(mask: Mask, most: int, least_pixels: int) -> list[Mask]:
    axes = mask.astype(np.uint8).reshape((1,) * (2 - mask.ndim) + mask.shape)  # it knows no image of one axis
    labels = SimpleITK.ConnectedComponent(SimpleITK.GetImageFromArray(axes), True)
    ranked = SimpleITK.GetArrayFromImage(SimpleITK.RelabelComponent(labels, least_pixels)).reshape(mask.shape)
    return [ranked == rank for rank in range(1, min(int(ranked.max()), most) + 1)]


def test_areas_do_not_depend_on_how_a_mask_lies_in_memory() -> None:
    mask = np.random.default_rng(1).random((12, 31)) < 0.3
    areas = largest_components(np.asfortranarray(mask), most=5, least_pixels=1)
    assert len(areas) == 5
    assert all(map(np.array_equal, areas, largest_components(mask, most=5, least_pixels=1)))


def test_an_area_is_whole_however_it_winds() -> None:
    comb = np.zeros((40, 41), np.bool_)
    comb[:, ::2] = True
    comb[-1] = True
    for winding in (comb, comb[::-1], comb.T, comb.T[:, ::-1]):
        (area,) = largest_components(winding, most=2, least_pixels=1)
        assert np.array_equal(area, winding)
