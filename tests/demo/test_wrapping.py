"""A wrapped picture is a valid instance, and the same facts always make the same one."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from builders import CR, DX, SC, chest_dx, mirrored, rotated, shaded_picture, write

needs_dciodvfy = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="needs dciodvfy of the package dicom3tools"
)


@needs_dciodvfy
@pytest.mark.parametrize("sop_class", [DX, CR, SC])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_wrapped_picture_is_a_valid_instance(
    tmp_path: Path, sop_class: str, photometric: str, bits: int
) -> None:
    dataset = chest_dx(shaded_picture(), sop_class=sop_class, photometric=photometric, bits=bits)
    checked = subprocess.run(
        ["dciodvfy", write(dataset, tmp_path)], capture_output=True, text=True, check=False
    )
    assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []


def test_the_same_facts_always_make_the_same_instance() -> None:
    first, second = chest_dx(shaded_picture()), chest_dx(shaded_picture())
    assert first == second
    assert first.file_meta == second.file_meta


def test_different_instances_never_share_an_identifier() -> None:
    facts: list[dict[str, Any]] = [
        {},
        {"view": "AP"},
        {"spacing": None},
        {"photometric": "MONOCHROME1"},
        {"instance_number": 2},
    ]
    instances = [chest_dx(shaded_picture(), **fact) for fact in facts]
    assert len({instance.SOPInstanceUID for instance in instances}) == len(facts)
    assert len({instance.StudyInstanceUID for instance in instances}) == 1


def test_a_picture_too_bright_for_its_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="brightest value 4096, expected at most 4095 in 12 bits"):
        chest_dx(np.full((3, 5), 4096, np.uint16), bits=12)


def test_turning_four_times_or_mirroring_twice_gives_the_picture_back() -> None:
    picture = shaded_picture()
    turned, orientation = rotated(*rotated(picture, ("L", "F"), 3))
    assert orientation == ("L", "F")
    assert np.array_equal(turned, picture)
    flipped, orientation = mirrored(*mirrored(picture, ("L", "F")))
    assert orientation == ("L", "F")
    assert np.array_equal(flipped, picture)


def test_a_turned_picture_says_where_its_rows_and_columns_now_run() -> None:
    picture = np.array([[1, 2, 3]], np.uint8)
    turned, orientation = rotated(picture, ("L", "F"))
    assert turned[:, 0].tolist() == [3, 2, 1]
    assert orientation == ("F", "R")
