"""Heads of any scanner come to one scale of grey, whatever the coil, the fat and what lies beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import odd_head

from node.errors import PixelsRefused
from node.imaging.head import bright_tissue, head_box, normalise_head
from node.imaging.upright import resample_upright
from node.imaging.volume import Volume


@pytest.fixture(scope="module")
def head() -> Volume:
    return resample_upright(odd_head((2.0, 2.0, 2.0)), 2.0)


def white_matter(head: Volume) -> np.ndarray:
    return np.abs(np.asarray(head.voxels, np.float32) - 850) < 60


def test_the_scale_of_the_scanner_does_not_matter(head: Volume) -> None:
    scaled = replace(head, voxels=np.asarray(head.voxels, np.float32) * 3.7)
    np.testing.assert_allclose(normalise_head(scaled), normalise_head(head), atol=0.02)


def test_tissue_is_about_one_and_air_about_zero(head: Volume) -> None:
    even = normalise_head(head)
    assert even.min() >= 0
    assert even.max() <= 3
    assert np.median(even[white_matter(head)]) == pytest.approx(1.1, abs=0.15)
    assert np.median(even[np.asarray(head.voxels) < 40]) < 0.1


def test_the_shading_of_a_coil_that_sees_the_middle_at_a_third_is_lessened(head: Volume) -> None:
    places = np.moveaxis(np.indices(head.grid.shape), 0, -1) - (np.array(head.grid.shape) - 1) / 2
    distance_mm = 2.0 * np.linalg.norm(places, axis=-1)
    shaded = np.asarray(head.voxels, np.float32) * (1 / 3 + 2 / 3 * np.minimum(1, distance_mm / 90) ** 2)
    inside = white_matter(head) & (distance_mm < 70)
    before, after = (
        float(np.percentile(values[inside], 90) / np.percentile(values[inside], 10))
        for values in (shaded, normalise_head(replace(head, voxels=shaded.astype(np.float32))))
    )
    assert before > 1.6
    assert after - 1.0 < 0.75 * (before - 1.0)


def test_a_mark_beside_the_head_does_not_widen_its_box(head: Volume) -> None:
    voxels = np.zeros((120, *head.grid.shape[1:]), np.float32)
    voxels[: head.grid.shape[0]] = head.voxels
    voxels[115, 50, 40:44] = 2000
    grid = replace(head.grid, shape=voxels.shape)
    marked = replace(head, voxels=voxels, padding=np.zeros(voxels.shape, np.bool_), grid=grid)
    assert head_box(marked)[0].stop < 110
    assert head_box(marked)[1:] == head_box(head)[1:]


def test_padding_is_no_tissue(head: Volume) -> None:
    padding = np.zeros(head.grid.shape, np.bool_)
    padding[:, :40] = True
    assert not bright_tissue(replace(head, padding=padding))[:, :40].any()


def test_a_volume_of_one_value_is_refused(head: Volume) -> None:
    with pytest.raises(PixelsRefused, match="there is no head"):
        normalise_head(replace(head, voxels=np.full_like(head.voxels, 7)))
