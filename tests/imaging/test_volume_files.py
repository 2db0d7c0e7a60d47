"""NIfTI and NRRD files keep every voxel at its place, and a file without a place is refused."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from volumes import MARKER_HU, ORIENTATIONS, ct_study

from node.errors import MissingGeometry, PixelsRefused
from node.imaging.series import read_volume
from node.imaging.volume import Unit
from node.imaging.volume_files import read_mask_file, read_volume_file, write_mask_file, write_volume_file

MARKER = (12.0, -4.0, 137.0)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_volume_comes_back_from_a_file(orientation: str, suffix: str, tmp_path: Path) -> None:
    volume = read_volume(ct_study(orientation=orientation, marker=MARKER))
    path = tmp_path / f"volume{suffix}"
    write_volume_file(volume, path)
    back = read_volume_file(path, Unit.HOUNSFIELD)
    np.testing.assert_array_equal(back.voxels, volume.voxels)
    assert back.voxels.dtype == np.int16
    exact = 1e-9 if suffix == ".nrrd" else 1e-4  # NIfTI keeps its matrix in 32 bits
    np.testing.assert_allclose(back.grid.affine, volume.grid.affine, atol=exact)
    index = np.unravel_index(np.argmax(back.voxels), back.voxels.shape)
    assert back.voxels[index] == MARKER_HU
    assert np.abs(back.grid.index_of(np.array(MARKER)) - np.array(index)).max() <= 0.5
    assert (back.sources, back.padding.any()) == ((), False)


def test_a_nifti_file_counts_towards_the_right_the_front_and_the_head(tmp_path: Path) -> None:
    # Read by hand: the sform is in RAS, so x and y of DICOM's LPS change sign.
    volume = read_volume(ct_study())
    write_volume_file(volume, tmp_path / "v.nii")
    header = (tmp_path / "v.nii").read_bytes()[:348]
    rows = np.array(struct.unpack_from("<12f", header, 280)).reshape(3, 4)
    x, y, z = volume.grid.origin_mm
    np.testing.assert_allclose(rows, [[-1, 0, 0, -x], [0, -1.5, 0, -y], [0, 0, 2, z]], atol=1e-5)


def test_fractions_are_kept(tmp_path: Path) -> None:
    volume = read_volume(ct_study(RescaleSlope=0.25))
    write_volume_file(volume, tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(read_volume_file(tmp_path / "v.nii.gz", Unit.STORED).voxels, volume.voxels)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_a_mask_comes_back_from_a_file(suffix: str, tmp_path: Path) -> None:
    volume = read_volume(ct_study(orientation="coronal"))
    write_mask_file(volume.voxels > 0, volume.grid, tmp_path / f"m{suffix}")
    mask, grid = read_mask_file(tmp_path / f"m{suffix}")
    np.testing.assert_array_equal(mask, volume.voxels > 0)
    np.testing.assert_allclose(grid.affine, volume.grid.affine, atol=1e-4)


@pytest.mark.parametrize(("dtype", "expected"), [("uint8", "int16"), ("uint16", "float32"), ("float64", "float32")])
def test_values_of_other_types_fit_the_volume(dtype: str, expected: str, tmp_path: Path) -> None:
    values = np.arange(60000, 60024) if dtype == "uint16" else np.arange(24)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values.reshape(2, 3, 4).astype(dtype)), str(tmp_path / "v.nii"))
    back = read_volume_file(tmp_path / "v.nii", Unit.STORED)
    assert str(back.voxels.dtype) == expected
    np.testing.assert_array_equal(back.voxels.ravel(), values)


def test_a_nifti_file_that_does_not_say_where_it_lies_is_refused(tmp_path: Path) -> None:
    write_volume_file(read_volume(ct_study()), tmp_path / "v.nii.gz")
    content = bytearray(gzip.decompress((tmp_path / "v.nii.gz").read_bytes()))
    content[252:256] = struct.pack("<2h", 0, 0)
    (tmp_path / "v.nii").write_bytes(content)
    with pytest.raises(MissingGeometry, match="found no place in the patient"):
        read_volume_file(tmp_path / "v.nii", Unit.HOUNSFIELD)


def test_an_nrrd_file_without_space_is_refused(tmp_path: Path) -> None:
    header = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\nencoding: raw\n\n"
    (tmp_path / "v.nrrd").write_bytes(header.encode() + bytes(8))
    with pytest.raises(MissingGeometry, match="space"):
        read_volume_file(tmp_path / "v.nrrd", Unit.STORED)


def test_what_is_no_volume_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.nii").write_bytes(b"not a volume")
    with pytest.raises(PixelsRefused, match="cannot be read"):
        read_volume_file(tmp_path / "cut.nii", Unit.STORED)
    SimpleITK.WriteImage(SimpleITK.Image(4, 4, SimpleITK.sitkUInt8), str(tmp_path / "flat.nrrd"))
    with pytest.raises(PixelsRefused, match="found 2 dimensions"):
        read_volume_file(tmp_path / "flat.nrrd", Unit.STORED)
    with pytest.raises(PixelsRefused, match=r"expected a name that ends in \.nii"):
        read_volume_file(tmp_path / "v.mha", Unit.STORED)
