"""A viewer draws the results: each is opened in OHIF, which must add pixels or sentences."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from builders import write
from results.conclusion_requests import on_opt, on_series
from results.lung_requests import encode_results, two_lungs, unsided_lungs
from results.volume_requests import real_series, two_sides

from node.results.profiles import kinds_for
from node.results.request import ResultKind, ResultRequest
from node.vocabulary import ResultProfile

DRAWABLE = kinds_for(ResultProfile.OHIF) | {ResultKind.KEY_IMAGE}


def show(made: ResultRequest, folder: Path, shared: Path) -> None:
    """Open what is drawable of the results beside their sources in the folder; all of it must be drawn."""
    drawable = [result for result in encode_results(made) if result.kind in DRAWABLE]
    for result in drawable:
        (folder / f"{result.kind}.dcm").write_bytes(result.encoded)
    python = os.environ.get("RADNODE_OHIF_PYTHON", sys.executable)
    viewer = subprocess.run(
        [python, shared / "tools/show_in_ohif", folder, folder.parent / "screenshots"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert viewer.returncode == 0, viewer.stdout + viewer.stderr
    assert viewer.stdout.count("DRAWN") == len(drawable)


@pytest.mark.long
@pytest.mark.parametrize("make", [two_lungs, unsided_lungs])
def test_results_of_a_radiograph_are_drawn(shared: Path, tmp_path: Path, make: Callable[[Path], ResultRequest]) -> None:
    made = make(shared)
    folder = tmp_path / "study"
    write(made.source, folder)
    show(made, folder, shared)


@pytest.mark.long
@pytest.mark.parametrize("name", ["ct", "oblique_mr"])
def test_results_of_a_volume_are_drawn(shared: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "study"
    show(two_sides(real_series(shared, name, folder)), folder, shared)


@pytest.mark.long
@pytest.mark.parametrize("make", [on_series, on_opt])
def test_conclusions_are_drawn(shared: Path, tmp_path: Path, make: Callable[[], ResultRequest]) -> None:
    made = make()
    folder = tmp_path / "study"
    for source in made.sources:
        write(source, folder)
    show(made, folder, shared)
