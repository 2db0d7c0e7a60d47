"""Volumes and masks as NIfTI and NRRD files, which other tools read with the same place in the patient."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from node.errors import MissingGeometry, PixelsRefused
from node.imaging.itk import grid_of, to_image
from node.imaging.volume import Grid, Unit, Volume, Voxels
from node.vocabulary import Mask

SUFFIXES = (".nii", ".nii.gz", ".nrrd")


def write_volume_file(volume: Volume, path: Path) -> None:
    """Write the voxels and their grid as NIfTI (.nii, .nii.gz; RAS) or NRRD (.nrrd; LPS)."""
    _write(volume.voxels, volume.grid, path)


def write_mask_file(mask: Mask, grid: Grid, path: Path) -> None:
    """Write a mask, 1 inside the structure and 0 outside, as `write_volume_file` does."""
    _write(mask.astype(np.uint8), grid, path)


def read_volume_file(path: Path, unit: Unit) -> Volume:
    """Return the volume of a file, whose unit only the caller can know; it has no padding and no sources.

    Raises PixelsRefused for anything but three-dimensional grey values, and MissingGeometry when the
    file does not say where they lie.
    """
    image = _read(path)
    voxels = _voxels(SimpleITK.GetArrayFromImage(image))
    return Volume(voxels, grid_of(image), unit, np.zeros(voxels.shape, np.bool_), (), "")


def read_mask_file(path: Path) -> tuple[Mask, Grid]:
    """Return where a label file is not 0, and its grid; raises like `read_volume_file`."""
    image = _read(path)
    return np.asarray(SimpleITK.GetArrayFromImage(image) != 0), grid_of(image)


def _write(voxels: NDArray[Any], grid: Grid, path: Path) -> None:
    _check_suffix(path)
    SimpleITK.WriteImage(to_image(voxels, grid), str(path), useCompression=True)


def _read(path: Path) -> SimpleITK.Image:
    _check_suffix(path)
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        image = reader.Execute()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise PixelsRefused(
            f"{path.name}: cannot be read ({reason}), expected a NIfTI or NRRD file; write it again"
        ) from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise PixelsRefused(
            f"{path.name}: found {image.GetDimension()} dimensions of {image.GetNumberOfComponentsPerPixel()} "
            "value(s), expected 3 of 1; write one volume to a file"
        )
    if not _is_placed(image):
        raise MissingGeometry(
            f"{path.name}: found no place in the patient, expected an sform or qform (NIfTI) or a space (NRRD); "
            "write the file with its geometry"
        )
    return image


def _is_placed(image: SimpleITK.Image) -> bool:
    """Say whether the header gave the geometry; without it SimpleITK makes one up."""
    if image.HasMetaDataKey("NRRD_space"):
        return True
    codes = [image.GetMetaData(key) for key in ("qform_code", "sform_code") if image.HasMetaDataKey(key)]
    return any(code.strip() not in ("", "0") for code in codes)


def _voxels(values: NDArray[Any]) -> Voxels:
    """Return the values as int16 where they are whole and fit, else as float32."""
    limits = np.iinfo(np.int16)
    if np.issubdtype(values.dtype, np.integer) and limits.min <= values.min() and values.max() <= limits.max:
        return values.astype(np.int16)
    return values.astype(np.float32)


def _check_suffix(path: Path) -> None:
    if not path.name.endswith(SUFFIXES):
        raise PixelsRefused(f"{path.name}: expected a name that ends in {', '.join(SUFFIXES)}; choose one of them")
