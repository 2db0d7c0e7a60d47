"""The box that phantoms are drawn in."""

from __future__ import annotations

import numpy as np
import pytest

from node.training.phantom_space import Space

SPACE = Space((4, 5, 6), (-10.0, 20.0, 30.0), (5.0, 2.0, 1.0))


def test_the_axes_say_where_the_grid_of_the_node_has_the_same_voxel() -> None:
    assert SPACE.grid.shape == SPACE.shape
    x, y, z = SPACE.grid.position_mm((3, 4, 5))
    assert (z, y, x) == pytest.approx((SPACE.z[3, 0, 0], SPACE.y[0, 4, 0], SPACE.x[0, 0, 5]))
    assert (z, y, x) == pytest.approx((5.0, 28.0, 35.0))


def test_a_cut_holds_every_voxel_between_two_corners_and_ends_with_the_box() -> None:
    cut = SPACE.around(np.array([-4.0, 23.0, 100.0]), np.array([1.0, 90.0, 110.0]))
    assert SPACE.z[cut[0]].ravel().tolist() == [-5.0, 0.0, 5.0]
    assert SPACE.y[:, cut[1]].ravel().tolist() == [22.0, 24.0, 26.0, 28.0]
    assert SPACE.x[:, :, cut[2]].size == 0
