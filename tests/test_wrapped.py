"""Wrapped pictures and volumes are what they claim to be: valid, read as they were given, each with its own UID."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset
from wrapped import axial_grid, ct_series, mr_series, mr_slice, op, opt, secondary_capture

from node.imaging.series import read_volume
from node.imaging.volume import Grid

# What dciodvfy says of the numbers of a concatenation, which PS3.3 C.8.17.7 demands of every instance.
DEMANDED = ("ConcatenationFrameOffsetNumber", "InConcatenationNumber", "InConcatenationTotalNumber")

TILTED = Grid((4, 7, 9), (12.5, -80.0, 31.25), ((0.0, -3.0, 4.0), (0.0, 0.8, 0.6), (0.5, 0.0, 0.0)))


def picture() -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (31, 47)).astype(np.uint8)


def voxels(shape: tuple[int, int, int] = (4, 7, 9)) -> NDArray[np.int64]:
    return np.random.default_rng(2).integers(0, 3000, shape)


MADE: dict[str, Callable[[], Dataset]] = {
    "mr": lambda: mr_series(voxels())[1],
    "tilted_mr": lambda: mr_series(voxels(), TILTED)[1],
    "ct": lambda: ct_series(voxels() - 1000)[1],
    "slice": lambda: mr_slice(picture()),
    "opt": lambda: opt(np.stack([picture()] * 3), "L"),
    "op": lambda: op(picture(), "L"),
    "colour_op": lambda: op(np.stack([picture()] * 3, axis=-1)),
    "secondary_capture": lambda: secondary_capture(picture(), "MR"),
    "colour_capture": lambda: secondary_capture(np.stack([picture()] * 3, axis=-1)),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_wrapped_is_valid(name: str, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy: apt install dicom3tools")
    MADE[name]().save_as(tmp_path / "made.dcm", enforce_file_format=True)
    answer = subprocess.run(["dciodvfy", tmp_path / "made.dcm"], capture_output=True, text=True, check=False)
    errors = [line for line in answer.stderr.splitlines() if line.startswith("Error")]
    assert [line for line in errors if not any(keyword in line for keyword in DEMANDED)] == []


@pytest.mark.parametrize("name", MADE)
def test_what_is_wrapped_twice_has_the_same_uid_and_with_other_facts_another(name: str) -> None:
    assert MADE[name]().SOPInstanceUID == MADE[name]().SOPInstanceUID
    assert len({MADE[other]().SOPInstanceUID for other in MADE}) == len(MADE)


@pytest.mark.parametrize("grid", [axial_grid((4, 7, 9), (2.5, 0.7, 0.9)), TILTED])
def test_a_series_is_read_as_the_volume_it_was_made_from(grid: Grid) -> None:
    read = read_volume(mr_series(voxels(), grid))
    assert np.array_equal(read.voxels, voxels())
    assert np.allclose(read.grid.affine, grid.affine)


def test_a_ct_series_is_read_in_the_hounsfield_units_it_was_made_from() -> None:
    read = read_volume(ct_series(voxels() - 1000))
    assert np.array_equal(read.voxels, voxels() - 1000)


def test_fractions_are_spread_over_whole_numbers() -> None:
    fractions = np.linspace(-1, 1, 4 * 7 * 9).reshape(4, 7, 9)
    read = read_volume(mr_series(fractions)).voxels
    assert (read.min(), read.max()) == (0, 4095)
    assert np.corrcoef(read.ravel(), fractions.ravel())[0, 1] > 0.9999


def test_facts_are_stated_last_and_none_takes_out() -> None:
    made = mr_slice(picture(), PatientID="P9", EchoTime=None)
    assert made.PatientID == "P9"
    assert "EchoTime" not in made


@pytest.mark.parametrize("side", ["R", "L"])
def test_the_side_of_an_eye_is_stated(side: str, tmp_path: Path) -> None:
    opt(picture(), side).save_as(tmp_path / "opt.dcm", enforce_file_format=True)
    read = dcmread(tmp_path / "opt.dcm")
    assert read.ImageLaterality == side
    assert read.SharedFunctionalGroupsSequence[0].FrameAnatomySequence[0].FrameLaterality == side
    assert op(picture(), side).ImageLaterality == side
