"""Results beside their source images, judged by every validator of `check_objects`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from builders import write
from results.lung_requests import encode_results, found_on, nothing_found, two_lungs, unsided_lungs

from node.results.request import ResultKind, ResultRequest

REAL_FILES = {
    "mono1_dx": "dicom_misc/DX_fdfe27_dx_image.dcm",
    "secondary_capture": "cxr_nih14/nih_cxr_1024.dcm",
}
WRAPPED = {"two_lungs": two_lungs, "unsided_lungs": unsided_lungs, "nothing_found": nothing_found}
VALIDATOR_IS_MISSING = 3


def store(made: ResultRequest, folder: Path) -> None:
    """Write the results, each named after its kind."""
    folder.mkdir(exist_ok=True)
    for result in encode_results(made):
        (folder / f"{result.kind}.dcm").write_bytes(result.encoded)


@pytest.fixture(scope="module")
def verdict(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Return the findings of one run over all cases: file, validator, severity, text."""
    root = tmp_path_factory.mktemp("results")
    for name, make in WRAPPED.items():
        made = make(shared)
        store(made, root / name)
        write(made.source, root / name)
    for name, path in REAL_FILES.items():
        store(found_on(shared / "data" / path), root / name)
        shutil.copy(shared / "data" / path, root / name / "source.dcm")
    run = subprocess.run(
        [sys.executable, shared / "tools/check_objects", root, "--all"], capture_output=True, text=True, check=False
    )
    if run.returncode == VALIDATOR_IS_MISSING:
        pytest.skip(f"needs every validator of check_objects:\n{run.stdout}")
    assert "RESULT" in run.stdout, run.stderr
    return [line.split("\t") for line in run.stdout.splitlines() if line.count("\t") == 3]


@pytest.mark.parametrize("case", [*WRAPPED, *REAL_FILES])
def test_the_validators_find_no_error_in_the_results(verdict: list[list[str]], case: str) -> None:
    named = {f"{case}/{kind}.dcm" for kind in ResultKind}
    assert [line for line in verdict if line[0] in named and line[2] == "ERROR"] == []


def test_the_validators_looked_at_the_results(verdict: list[list[str]]) -> None:
    expected = ("two_lungs/segmentation.dcm", "pixelmed", "ALLOWED")
    assert expected in {tuple(line[:3]) for line in verdict}


def test_dcmqi_reads_the_mask_that_was_encoded(shared: Path, tmp_path: Path) -> None:
    reader = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if reader is None:
        pytest.skip("needs dcmqi, which the development dependencies install")
    made = unsided_lungs(shared)
    store(made, tmp_path)
    command = [reader, "--inputDICOM", tmp_path / "segmentation.dcm", "--outputDirectory", tmp_path, "-t", "nrrd"]
    subprocess.run(command, capture_output=True, check=True)
    mask = read_nrrd(next(tmp_path.glob("*.nrrd")))
    assert np.array_equal(mask[0] > 0, made.findings[0].mask)


def read_nrrd(path: Path) -> np.ndarray:
    """Return the (slices, rows, columns) array of a file that dcmqi wrote."""
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
