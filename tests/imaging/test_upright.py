"""Series stored in any order of axes become cubic voxels in the patient's order, and classes found there go back."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest

from node.imaging.upright import Turn, back_to_series, resample_upright, turn_upright
from node.imaging.volume import Grid, Unit, Volume

ORDERS = [
    Turn(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)  # type: ignore[arg-type]
]


def stored(turn: Turn, spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Volume:
    """Return voxels that hold their own x + 1000 y + 1000000 z in mm, stored so that `turn` brings them upright."""
    upright = Grid((8, 9, 10), (3.0, 5.0, 7.0), tuple(map(tuple, np.diag(spacing_mm)[:, ::-1].tolist())))
    z, y, x = np.indices(upright.shape) * np.array(spacing_mm).reshape(3, 1, 1, 1)
    values = (x + 3.0) + 100.0 * (y + 5.0) + 10_000.0 * (z + 7.0)
    voxels = turn.undo(values.astype(np.float32))
    steps = np.array(upright.steps_mm) * np.where(turn.flips, -1.0, 1.0)[:, np.newaxis]
    first = [count - 1 if is_flipped else 0 for count, is_flipped in zip(upright.shape, turn.flips, strict=True)]
    origin = upright.position_mm((first[0], first[1], first[2]))
    back = np.argsort(turn.axes)
    grid = Grid(voxels.shape, tuple(origin.tolist()), tuple(map(tuple, steps[back].tolist())))
    return Volume(voxels, grid, Unit.STORED, np.zeros(voxels.shape, np.bool_), (), "")


@pytest.mark.parametrize("turn", ORDERS)
def test_every_order_of_axes_is_recognised_and_undone(turn: Turn) -> None:
    volume = stored(turn)
    found = turn_upright(volume.grid)
    assert found == turn
    np.testing.assert_array_equal(found.undo(found.apply(volume.voxels)), volume.voxels)
    upright = found.apply_to_grid(volume.grid)
    np.testing.assert_allclose(np.array(upright.steps_mm), np.diag([2.0, 2.0, 2.0])[:, ::-1])
    place = upright.position_mm((4, 5, 6))
    assert found.apply(volume.voxels)[4, 5, 6] == pytest.approx(place @ (1, 100, 10_000))


def test_a_tilted_grid_keeps_its_axes_and_only_orders_them() -> None:
    angle = np.deg2rad(20)
    across, down = (0.0, np.cos(angle), -np.sin(angle)), (0.0, -np.sin(angle), -np.cos(angle))
    grid = Grid((5, 6, 7), (0.0, 0.0, 0.0), ((2.0, 0.0, 0.0), across, down))
    turn = turn_upright(grid)
    assert turn.axes == (2, 1, 0)
    assert turn.flips == (True, False, False)


def test_voxels_of_the_wanted_size_stay_as_they_are() -> None:
    volume = stored(Turn((2, 0, 1), (True, False, True)))
    upright = resample_upright(volume, 2.0)
    np.testing.assert_array_equal(upright.voxels, Turn((2, 0, 1), (True, False, True)).apply(volume.voxels))


def test_finer_voxels_are_averaged_and_none_is_taken_alone() -> None:
    rng = np.random.default_rng(1)
    grid = Grid((24, 24, 24), (0.0, 0.0, 0.0), ((0.0, 0.0, 0.5), (0.0, 0.5, 0.0), (0.5, 0.0, 0.0)))
    noise = rng.normal(100, 10, grid.shape).astype(np.float32)
    volume = Volume(noise, grid, Unit.STORED, np.zeros(grid.shape, np.bool_), (), "")
    coarse = resample_upright(volume, 2.0)
    assert coarse.voxels.shape == (6, 6, 6)
    assert float(np.std(coarse.voxels[1:-1, 1:-1, 1:-1])) < 3
    assert float(np.mean(coarse.voxels)) == pytest.approx(100, abs=1)


@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (5.0, 1.0, 1.0), (1.0, 3.0, 0.7)])
def test_classes_found_on_the_cubic_grid_lie_where_they_are_in_the_series(
    spacing_mm: tuple[float, float, float],
) -> None:
    turn = Turn((1, 2, 0), (False, True, False))
    volume = stored(turn, spacing_mm)
    upright = resample_upright(volume, 2.0)
    classes = np.zeros(upright.grid.shape, int)
    classes[:, upright.grid.shape[1] // 2 :] = 1
    found = back_to_series(np.eye(2, dtype=np.float32)[classes], upright.grid, volume.grid)
    border_mm = upright.grid.position_mm((0, upright.grid.shape[1] // 2 - 0.5, 0))[1]
    indices = np.moveaxis(np.indices(volume.grid.shape), 0, -1)
    y_mm = indices @ np.array(volume.grid.steps_mm)[:, 1] + volume.grid.origin_mm[1]
    clear = np.abs(y_mm - border_mm) > 0.1
    np.testing.assert_array_equal(found[clear], (y_mm > border_mm)[clear].astype(np.uint8))
