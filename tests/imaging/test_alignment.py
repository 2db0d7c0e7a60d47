"""A head is found wherever it lies in its series, and seen as it lies on the mean head."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from node.errors import PixelsRefused, StudyRefused
from node.imaging.alignment import Alignment, align_head, resample_aligned, scale_grey
from node.imaging.head_template import HeadTemplate, common_grey, lay_head, read_head_template
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file

SUBJECT = "IXI012-HH-1211_t1_2mm.nii.gz"


@pytest.fixture(scope="module")
def head() -> HeadTemplate:
    return read_head_template(Path(__file__).resolve().parents[2] / "models" / "brain_mr_sex")


@pytest.fixture(scope="module")
def volume(shared: Path) -> Volume:
    return read_volume_file(shared / "data" / "brain_t1_ixi" / "t1" / SUBJECT, Unit.STORED)


def moved(volume: Volume, matrix: np.ndarray, shift_mm: np.ndarray) -> Volume:
    """Return the volume of the same head, lying elsewhere: every place p of it is at matrix @ p + shift."""
    steps = np.array(volume.grid.steps_mm) @ matrix.T
    origin = matrix @ np.array(volume.grid.origin_mm) + shift_mm
    grid = Grid(volume.grid.shape, tuple(origin.tolist()), tuple(tuple(step) for step in steps.tolist()))
    return replace(volume, grid=grid)


def turned(degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def test_a_head_that_lies_elsewhere_is_seen_the_same_on_the_mean_head(volume: Volume, head: HeadTemplate) -> None:
    first, again = (lay_head(one, head) for one in (volume, moved(volume, turned(8.0), np.array([25.0, -40.0, 310.0]))))
    near = head.near
    assert np.corrcoef(first.stretched[near], again.stretched[near])[0, 1] > 0.98
    assert first.greys == pytest.approx(again.greys, rel=0.03)


def test_a_larger_head_is_stretched_in_one_view_and_keeps_its_size_in_the_other(
    volume: Volume, head: HeadTemplate
) -> None:
    usual = align_head(volume, head.template)
    large = align_head(moved(volume, 1.08 * np.eye(3), np.zeros(3)), head.template)
    assert np.prod(large.stretches) == pytest.approx(1.08**3 * np.prod(usual.stretches), rel=0.03)
    assert large.rigid().stretches == pytest.approx((1.0, 1.0, 1.0))


def test_the_rigid_way_turns_as_the_affine_one_does() -> None:
    rotation = turned(20.0)
    found = Alignment(rotation @ np.diag([1.1, 0.9, 1.0]), np.array([3.0, 4.0, 5.0]), 1.0).rigid()
    np.testing.assert_allclose(found.matrix, rotation, atol=1e-9)
    np.testing.assert_allclose(found.offset_mm, [3.0, 4.0, 5.0])


def test_a_size_that_no_head_has_is_not_plausible() -> None:
    for factor, expected in ((1.0, True), (0.7, False), (1.4, False)):
        assert Alignment(factor * np.eye(3), np.zeros(3), 1.0).is_plausible is expected


def test_a_place_of_the_template_shows_the_voxel_that_lies_there() -> None:
    grid = Grid((20, 22, 24), (-5.0, 7.0, 11.0), ((0.0, 0.0, 2.0), (0.0, 2.0, 0.0), (2.0, 0.0, 0.0)))
    values = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    way = Alignment(np.eye(3), np.array([4.0, -2.0, 6.0]), 0.0)
    shifted = resample_aligned(values, grid, way, replace(grid, origin_mm=(-5.0, 7.0, 11.0)))
    np.testing.assert_allclose(shifted[0, 1, 0], values[3, 0, 2], atol=1e-6)


def test_padding_is_as_dark_as_air(volume: Volume) -> None:
    padding = np.zeros(volume.voxels.shape, np.bool_)
    padding[:, :, :5] = True
    bright = np.where(padding, np.int16(3000), volume.voxels)
    assert scale_grey(replace(volume, voxels=bright, padding=padding))[padding].max() == 0.0


def test_tissues_have_the_same_grey_whatever_the_scanner_gave_them(volume: Volume, head: HeadTemplate) -> None:
    brighter = replace(volume, voxels=(volume.voxels.astype(np.float32) * 7.3).astype(np.int16))
    views = [common_grey(laid.stretched, laid.greys) for laid in (lay_head(volume, head), lay_head(brighter, head))]
    assert np.abs(views[0] - views[1])[head.near].max() < 0.05


def test_a_ct_is_refused(volume: Volume, head: HeadTemplate) -> None:
    with pytest.raises(StudyRefused, match="expected T1-weighted MR"):
        lay_head(replace(volume, unit=Unit.HOUNSFIELD), head)


def test_a_series_of_one_grey_is_refused(volume: Volume, head: HeadTemplate) -> None:
    with pytest.raises(PixelsRefused, match="all voxels have the same value"):
        lay_head(replace(volume, voxels=np.full_like(volume.voxels, 7)), head)


def test_a_contrast_that_is_not_t1_is_refused(volume: Volume, head: HeadTemplate) -> None:
    negative = np.where(volume.voxels > 10, 265 - volume.voxels, 0).astype(np.int16)
    with pytest.raises(StudyRefused, match=r"in T1 white matter is brighter|cannot be laid over"):
        lay_head(replace(volume, voxels=negative), head)
