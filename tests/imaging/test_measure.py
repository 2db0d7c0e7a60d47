"""Volumes, attenuation and the emphysema index are those of the voxels inside, and carry their codes."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.sr.codedict import codes
from volumes import ct_study, mr_study

from node.imaging.measure import NotMeasured, measure_emphysema_index, measure_mean_attenuation, measure_volume
from node.imaging.series import read_volume
from node.vocabulary import Measurement

HU = np.full((4, 10, 10), -800, np.int16)
HU[0] = -1024  # padding
HU[1, :5] = -951
HU[1, 5:] = -950


def lungs() -> tuple[np.ndarray, object]:
    volume = read_volume(ct_study(slices=4, shape=(10, 10), spacing=(5.0, 2.0, 2.0), hu=HU, PixelPaddingValue=0))
    return np.ones(volume.grid.shape, np.bool_), volume


def test_a_volume_is_in_cubic_centimetres_and_leaves_padding_out() -> None:
    measured = measure_volume(*lungs())
    assert (measured.name, measured.unit) == (codes.SCT.Volume, codes.UCUM.CubicCentimeter)
    assert measured.value == pytest.approx(300 * 20 / 1000)


def test_the_volume_of_an_oblique_mask_is_the_same() -> None:
    volumes = [read_volume(ct_study(orientation=name)) for name in ("axial", "oblique")]
    values = [measure_volume(volume.voxels > 0, volume).value for volume in volumes]
    assert values[0] == pytest.approx(values[1])
    assert values[0] > 0


def test_mean_attenuation_is_in_hu_with_its_derivation() -> None:
    measured = measure_mean_attenuation(*lungs())
    assert isinstance(measured, Measurement)
    assert measured.value == pytest.approx((50 * -951 + 50 * -950 + 200 * -800) / 300)
    assert (measured.name.value, measured.unit.value) == ("112031", "[hnsf'U]")
    assert measured.derivation == codes.SCT.Mean


def test_the_emphysema_index_counts_voxels_below_minus_950_hu() -> None:
    measured = measure_emphysema_index(*lungs())
    assert isinstance(measured, Measurement)
    assert measured.value == pytest.approx(100 * 50 / 300)
    assert (measured.unit.value, measured.name.scheme_designator) == ("%", "99RADNODE")
    assert len(measured.name.meaning) <= 64  # LO
    assert "5 mm apart" in measured.method


@pytest.mark.parametrize("measure", [measure_mean_attenuation, measure_emphysema_index])
def test_numbers_in_hu_are_not_given_for_voxels_that_are_no_hu(measure: object) -> None:
    volume = read_volume(mr_study())
    assert measure(np.ones(volume.grid.shape, np.bool_), volume) == NotMeasured("the voxels are not in HU")


@pytest.mark.parametrize("measure", [measure_mean_attenuation, measure_emphysema_index])
def test_an_outline_of_nothing_but_padding_has_no_attenuation(measure: object) -> None:
    mask, volume = lungs()
    mask[1:] = False
    assert isinstance(measure(mask, volume), NotMeasured)
    assert measure_volume(mask, volume).value == 0
