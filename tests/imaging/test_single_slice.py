"""A series of one slice becomes a volume only for models that say they take one."""

from __future__ import annotations

import numpy as np
import pytest
from builders import shaded_picture
from wrapped import mr_slice

from node.errors import MissingGeometry, SingleSlice
from node.imaging.series import read_volume


def test_a_single_slice_that_may_be_one_is_a_volume_as_thick_as_its_header_says() -> None:
    picture = shaded_picture()
    volume = read_volume([mr_slice(picture, SliceThickness=4.5)], may_be_single=True)
    np.testing.assert_array_equal(volume.voxels[0], picture)
    assert volume.grid.spacing_mm[0] == pytest.approx(4.5)
    assert len(volume.sources) == 1


@pytest.mark.parametrize("thickness", [None, 0])
def test_a_single_slice_without_thickness_is_refused(thickness: int | None) -> None:
    with pytest.raises(MissingGeometry, match="SliceThickness"):
        read_volume([mr_slice(shaded_picture(), SliceThickness=thickness)], may_be_single=True)


def test_a_single_slice_is_refused_where_a_volume_is_needed() -> None:
    with pytest.raises(SingleSlice):
        read_volume([mr_slice(shaded_picture())])
