"""Connected areas of a mask."""

from __future__ import annotations

import numpy as np

from node.imaging.components import largest_components


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
