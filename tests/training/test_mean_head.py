"""The mean of labelled heads, and that a head can be laid on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from specimens import odd_head

from node.imaging.head_template import CSF, GREY, NEAR, WHITE_MATTER, HeadTemplate, lay_head, read_head_template
from node.imaging.volume import Volume
from node.training.mean_head import LabelledHead, make_mean_head

SHIFTS_MM = ((0.0, 0.0, 0.0), (9.0, -14.0, 30.0), (-6.0, 8.0, -21.0))


def shifted(volume: Volume, shift_mm: tuple[float, float, float]) -> Volume:
    origin = tuple((np.array(volume.grid.origin_mm) + shift_mm).tolist())
    return replace(volume, grid=replace(volume.grid, origin_mm=origin))


def labelled(volume: Volume) -> LabelledHead:
    """Return the head with its labels by brightness: fluid, grey and white matter."""
    labels = np.digitize(volume.voxels, (120, 400, 725))
    labels[volume.voxels > 875] = 3
    return LabelledHead(volume, labels)


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> HeadTemplate:
    folder = tmp_path_factory.mktemp("mean_head")
    make_mean_head([labelled(shifted(odd_head((4.1, 3.9, 4.0)), shift)) for shift in SHIFTS_MM], folder)
    return read_head_template(folder)


def test_heads_that_lie_differently_have_a_sharp_mean(head: HeadTemplate) -> None:
    inside, outside = head.template.voxels[21, 26, 21], head.template.voxels[:, :3].max()
    assert inside == pytest.approx(1 / 1.5, abs=0.02)  # the median of the head, on the scale of `scale_grey`
    assert outside < 0.05


def test_every_tissue_has_its_zone_inside_what_is_near_the_brain(head: HeadTemplate) -> None:
    assert {CSF, GREY, WHITE_MATTER} <= set(np.unique(head.zones))
    assert head.near[head.zones >= NEAR].all()
    assert head.near.sum() > (head.zones > NEAR).sum()


def test_a_head_is_laid_where_the_mean_head_is(head: HeadTemplate) -> None:
    shift = (17.0, 3.0, -44.0)
    volumes = [shifted(odd_head((2.1, 1.9, 2.0)), one) for one in ((0.0, 0.0, 0.0), shift)]
    first, again = (lay_head(volume, head) for volume in volumes)
    np.testing.assert_allclose(again.alignment.offset_mm - first.alignment.offset_mm, shift, atol=1.0)
    assert first.greys[0] < first.greys[1] < first.greys[2]
