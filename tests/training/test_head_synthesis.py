"""Whole heads made up from label maps: contrasts, noise and slices vary, the anatomy does not."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

from node.errors import TrainingDataError
from node.training.head_maps import GREY_MATTER, LABELS, WHITE_MATTER, HeadMap, read_head_maps
from node.training.head_synthesis import ScanLimits, synthesise_head

SCALP, SKULL, FLUID, CORTEX, WHITE = 511, 515, 24, 3, 2
QUIET = ScanLimits(t1_share=1.0, bias=0.0, noise=0.0, blur_mm=0.0, thick_share=0.0, crop_share=0.0, blank_share=0.0)
SIDE = 96


@pytest.fixture(scope="module")
def map_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write balls in balls, from the scalp to the white matter, with axes stored another way than LPS."""
    distance = np.linalg.norm(np.indices((SIDE,) * 3) - 47.0, axis=0)
    labels = np.zeros((SIDE,) * 3, np.int16)
    for radius, label in ((40, SCALP), (37, SKULL), (34, FLUID), (31, CORTEX), (26, WHITE)):
        labels[distance < radius] = label
    labels[44:52, :20, 44:52] = 507
    image = SimpleITK.GetImageFromArray(labels)
    image.SetDirection((0, 0, -1, 1, 0, 0, 0, 1, 0))
    folder = tmp_path_factory.mktemp("maps")
    SimpleITK.WriteImage(image, str(folder / "head_01.nii"))
    return folder


@pytest.fixture(scope="module")
def head(map_file: Path) -> HeadMap:
    return read_head_maps(map_file)[0]


def test_a_map_is_read_upright_and_each_label_fills_its_share_of_a_voxel(head: HeadMap) -> None:
    steps = np.array(head.grid.steps_mm)
    np.testing.assert_allclose(steps, np.diag([2.0, 2.0, 2.0])[:, ::-1])
    assert head.labels.shape == tuple(2 * count for count in head.grid.shape)
    shares = np.stack([head.share((label,)) for label in (0, SCALP, SKULL, FLUID, CORTEX, WHITE, 507)])
    np.testing.assert_allclose(shares.sum(axis=0), 1.0, atol=1e-6)
    white_mm3 = head.share((WHITE,)).sum() * head.grid.voxel_mm3
    assert white_mm3 == pytest.approx((head.labels == LABELS.index(WHITE)).sum(), rel=1e-6)


def test_the_archive_holds_the_same_maps_as_the_folder(map_file: Path, head: HeadMap, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "maps.tar.xz", "w:xz") as archive:
        archive.add(map_file / "head_01.nii", "head_01.nii")
    packed = read_head_maps(tmp_path)
    assert len(packed) == 1
    np.testing.assert_array_equal(packed[0].labels, head.labels)


def test_a_folder_without_maps_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"no maps\.tar\.xz"):
        read_head_maps(tmp_path)


def test_a_label_nobody_knows_is_refused(tmp_path: Path) -> None:
    image = SimpleITK.GetImageFromArray(np.full((8, 8, 8), 99, np.int16))
    SimpleITK.WriteImage(image, str(tmp_path / "head_01.nii"))
    with pytest.raises(TrainingDataError, match="found labels \\[99\\]"):
        read_head_maps(tmp_path)


def test_the_same_seed_makes_the_same_head_and_another_seed_another(head: HeadMap) -> None:
    first, again, other = (synthesise_head(head, ScanLimits(), np.random.default_rng(seed)) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first.voxels, again.voxels)
    assert first.grid == again.grid
    assert first.voxels.shape != other.voxels.shape or not np.array_equal(first.voxels, other.voxels)


@pytest.mark.parametrize("seed", range(4))
def test_a_t1_is_brightest_in_white_matter_then_grey_then_fluid(head: HeadMap, seed: int) -> None:
    voxels = synthesise_head(head, QUIET, np.random.default_rng(seed)).voxels
    tissues = (WHITE_MATTER, GREY_MATTER, (FLUID,))
    means = [float(np.median(voxels[head.share(labels) > 0.99])) for labels in tissues]
    assert means == sorted(means, reverse=True)


def test_other_contrasts_than_t1_are_made(head: HeadMap) -> None:
    limits = replace(QUIET, t1_share=0.0)
    orders = set()
    for seed in range(8):
        voxels = synthesise_head(head, limits, np.random.default_rng(seed)).voxels
        grey, white = (np.median(voxels[head.share(labels) > 0.99]) for labels in (GREY_MATTER, WHITE_MATTER))
        orders.add(bool(grey > white))
    assert orders == {True, False}


def test_thick_slices_lie_in_the_box_of_the_head_and_show_what_is_there(head: HeadMap) -> None:
    thin = synthesise_head(head, QUIET, np.random.default_rng(1))
    thick = synthesise_head(head, replace(QUIET, thick_share=1.0, slice_mm=(5.0, 5.0)), np.random.default_rng(1))
    assert sorted(np.round(thick.grid.spacing_mm, 3)) == [2.0, 2.0, 5.0]
    middle = head.grid.position_mm(tuple((np.array(head.grid.shape) - 1) / 2))
    for volume in (thin, thick):
        place = tuple(np.rint(volume.grid.index_of(middle)).astype(int))
        assert 850 < volume.voxels[place] < 1150


def test_a_cropped_head_loses_its_neck_and_never_its_brain(head: HeadMap) -> None:
    top = head.grid.position_mm((head.grid.shape[0] - 1, 0, 0))[2]
    lowest_brain = head.grid.position_mm((int(np.flatnonzero(head.brain.any(axis=(1, 2)))[0]), 0, 0))[2]
    bottoms = []
    for seed in range(8):
        volume = synthesise_head(head, replace(QUIET, crop_share=1.0), np.random.default_rng(seed))
        assert volume.grid.position_mm((volume.grid.shape[0] - 1, 0, 0))[2] == pytest.approx(top)
        bottoms.append(volume.grid.origin_mm[2])
    assert max(bottoms) <= lowest_brain
    assert len(set(bottoms)) > 1


def test_a_blanked_head_has_nothing_but_zero_round_it(head: HeadMap) -> None:
    limits = replace(QUIET, noise=0.1, blank_share=1.0)
    voxels = synthesise_head(head, limits, np.random.default_rng(2)).voxels
    assert not voxels[head.air > 0.5].any()
