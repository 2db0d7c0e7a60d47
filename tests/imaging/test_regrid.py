"""A volume goes to another grid and a mask made there comes back to the very grid of its source."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK
from volumes import MARKER_HU, ORIENTATIONS, ct_study

from node.imaging.itk import direction_of, grid_of, to_image
from node.imaging.regrid import (
    Interpolation,
    Sampling,
    is_same_grid,
    mask_to_grid,
    resample_values,
    resample_volume,
)
from node.imaging.series import read_volume
from node.imaging.volume import Grid, Volume, grid_with_spacing


def smooth(orientation: str = "axial", **facts: object) -> Volume:
    """Return a volume whose values rise linearly in the patient, so that any grid can be checked by place."""
    volume = read_volume(ct_study(orientation=orientation, **facts))
    values = ramp(volume.grid).astype(np.float32)
    return replace(volume, voxels=values)


def places(grid: Grid) -> np.ndarray:
    index = np.moveaxis(np.indices(grid.shape), 0, -1)
    return index @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def ramp(grid: Grid) -> np.ndarray:
    return places(grid) @ np.array([1.0, 2.0, -3.0])


@pytest.mark.parametrize("interpolation", [Interpolation.LINEAR, Interpolation.BSPLINE])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_values_stay_at_their_place_in_the_patient(orientation: str, interpolation: Interpolation) -> None:
    volume = smooth(orientation)
    grid = grid_with_spacing(volume.grid, (1.5, 1.0, 2.0))
    resampled = resample_volume(volume, grid, interpolation)
    inner = (slice(4, -4),) * 3
    tolerance = 1e-3 if interpolation is Interpolation.LINEAR else 0.5
    np.testing.assert_allclose(resampled.voxels[inner], ramp(grid)[inner], atol=tolerance)
    assert (resampled.unit, resampled.voxels.dtype, resampled.sources) == (volume.unit, np.float32, ())


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 3.0, 3.0), (2.0, 1.5, 1.0), (1000.0, 1.0, 1.0)])
def test_a_grid_of_other_spacing_covers_the_same_box(spacing: tuple[float, float, float]) -> None:
    grid = read_volume(ct_study(orientation="oblique")).grid
    other = grid_with_spacing(grid, spacing)
    np.testing.assert_allclose(other.spacing_mm, spacing)
    middle = [(np.array(g.shape) - 1) / 2 for g in (grid, other)]
    np.testing.assert_allclose(other.position_mm(tuple(middle[1])), grid.position_mm(tuple(middle[0])), atol=1e-9)
    covered = np.array(other.shape) * other.spacing_mm
    assert (np.abs(covered - np.array(grid.shape) * grid.spacing_mm) <= np.array(spacing)).all()


def test_a_grid_made_finer_and_coarser_again_is_the_same() -> None:
    grid = read_volume(ct_study(orientation="oblique")).grid
    assert is_same_grid(grid, grid_with_spacing(grid_with_spacing(grid, (1.0, 1.0, 1.0)), grid.spacing_mm))
    assert not is_same_grid(grid, grid_with_spacing(grid, (1.0, 1.5, 1.0)))


def test_whole_numbers_are_rounded_and_do_not_wrap() -> None:
    hu = np.zeros((4, 24, 30), np.int32)
    hu[..., 15:] = 32767
    hu[..., 0] = 1
    volume = read_volume(ct_study(slices=4, hu=hu))
    finer = grid_with_spacing(volume.grid, (2.0, 1.5, 0.5))
    overshot = resample_volume(volume, finer, Interpolation.BSPLINE)
    assert overshot.voxels.dtype == np.int16
    assert int(overshot.voxels[..., 31:].min()) > 30000
    assert int(overshot.voxels.max()) == 32767
    assert resample_volume(volume, finer).voxels[0, 0, 1:4].tolist() == [1, 0, 0]  # 0.75, 0.25 and 0


def test_what_lies_outside_or_was_never_seen_is_padding_of_the_lowest_value() -> None:
    hu = np.full((6, 24, 30), 50, np.int16)
    hu[:, :, :6] = -1024
    hu[3, 12, 20] = -7
    volume = read_volume(ct_study(slices=6, hu=hu, PixelPaddingValue=0))
    shifted = replace(volume.grid, origin_mm=tuple(volume.grid.position_mm((0, 10, 0)).tolist()))
    resampled = resample_volume(volume, shifted, Interpolation.NEAREST)
    assert resampled.padding[:, -10:].all()
    assert resampled.padding[:, :, :6].all()
    assert not resampled.padding[:, :-10, 6:].any()
    assert set(resampled.voxels[resampled.padding].tolist()) == {-7}


def test_the_same_grid_gives_the_same_volume() -> None:
    volume = read_volume(ct_study())
    assert resample_volume(volume, grid_with_spacing(volume.grid, volume.grid.spacing_mm)) is volume


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_mask_made_on_a_finer_grid_returns_exactly(orientation: str) -> None:
    volume = read_volume(ct_study(orientation=orientation))
    mask = volume.voxels > 0
    fine = grid_with_spacing(volume.grid, tuple(step / 2 for step in volume.grid.spacing_mm))
    there = resample_volume(replace(volume, voxels=mask.astype(np.int16)), fine, Interpolation.NEAREST)
    back = mask_to_grid(there.voxels > 0, fine, volume.grid)
    assert back.shape == mask.shape
    assert mask.any()
    np.testing.assert_array_equal(back, mask)


def test_a_mask_on_its_own_grid_is_returned_as_it_is() -> None:
    grid = read_volume(ct_study()).grid
    mask = np.random.default_rng(4).random(grid.shape) > 0.5
    back = mask_to_grid(mask, grid, grid)
    np.testing.assert_array_equal(back, mask)
    assert back is not mask


def test_a_mask_ends_where_its_grid_ends() -> None:
    grid = read_volume(ct_study()).grid
    beyond = replace(grid, origin_mm=tuple(grid.position_mm((-5, 0, 0)).tolist()))
    back = mask_to_grid(np.ones(grid.shape, np.bool_), grid, beyond)
    assert not back[:5].any()
    assert back[5:].all()


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_simpleitk_puts_the_marker_where_the_grid_does(orientation: str) -> None:
    marker = (12.0, -4.0, 137.0)
    volume = read_volume(ct_study(orientation=orientation, marker=marker))
    image = to_image(volume.voxels, volume.grid)
    assert image[image.TransformPhysicalPointToIndex(marker)] == MARKER_HU
    assert is_same_grid(grid_of(image), volume.grid)
    assert np.linalg.det(np.reshape(direction_of(volume.grid), (3, 3))) == pytest.approx(1)
    assert SimpleITK.GetArrayFromImage(image).shape == volume.grid.shape


def test_values_are_looked_for_where_the_way_leads() -> None:
    grid = Grid((6, 7, 8), (-5.0, 7.0, 11.0), ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
    values = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    way = SimpleITK.TranslationTransform(3, (4.0, -2.0, 6.0))
    shifted = resample_values(values, grid, grid, Sampling(outside=-1.0, way=way))
    np.testing.assert_allclose(shifted[:3, 1:, :6], values[3:, :-1, 2:], atol=1e-6)
    assert (shifted[3:] == -1.0).all()
    np.testing.assert_array_equal(resample_values(values, grid, grid, Sampling()), values)


def test_a_sheared_grid_is_seen_where_its_voxels_are() -> None:
    """A tilted gantry shears: each slice lies further back than the one below."""
    sheared = Grid((8, 20, 6), (0.0, 0.0, 0.0), ((0.0, 1.0, 3.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
    straight = Grid((8, 20, 6), (0.0, 0.0, 0.0), ((0.0, 0.0, 3.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
    slices, rows, _ = np.indices(sheared.shape)
    depth_mm = (slices + 2.0 * rows).astype(np.float32)
    found = resample_values(depth_mm, sheared, straight, Sampling())
    np.testing.assert_allclose(found[:, 4:], 2.0 * rows[:, 4:], atol=1e-4)  # before row 4 lies what no slice shows
