"""A viewer draws the results: each is opened in OHIF, which must add pixels or sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import write
from results.lung_requests import encode_results, two_lungs, unsided_lungs

from node.results.request import ResultKind, ResultRequest

DRAWABLE = (ResultKind.SEGMENTATION, ResultKind.CONTOUR_REPORT, ResultKind.TEXT_REPORT)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("make", [two_lungs, unsided_lungs])
def test_segmentation_contours_and_text_are_drawn(
    shared: Path, tmp_path: Path, make: Callable[[Path], ResultRequest]
) -> None:
    made = make(shared)
    folder = tmp_path / "study"
    write(made.source, folder)
    for result in encode_results(made):
        if result.kind in DRAWABLE:
            (folder / f"{result.kind}.dcm").write_bytes(result.encoded)
    python = os.environ.get("RADNODE_OHIF_PYTHON", sys.executable)
    viewer = subprocess.run(
        [python, shared / "tools/show_in_ohif", folder, tmp_path / "screenshots"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert viewer.returncode == 0, viewer.stdout + viewer.stderr
    assert viewer.stdout.count("DRAWN") == len(DRAWABLE)
