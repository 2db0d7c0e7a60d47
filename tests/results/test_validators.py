"""Results beside their source images, judged by every validator of `check_objects`."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from builders import write
from pydicom import dcmwrite
from results.conclusion_requests import ON_EVERYTHING
from results.lung_requests import encode_results, found_on, nothing_found, two_lungs, unsided_lungs
from results.test_predecessors import EARLIER
from results.volume_requests import ORIENTATIONS, REAL_SERIES, enhanced_series, mr_series, real_series, two_sides
from validators import findings_or_skip

from node.results.request import ResultKind, ResultRequest

REAL_FILES = {
    "mono1_dx": "dicom_misc/DX_fdfe27_dx_image.dcm",
    "secondary_capture": "cxr_nih14/nih_cxr_1024.dcm",
}
WRAPPED = {
    "two_lungs": two_lungs,
    "unsided_lungs": unsided_lungs,
    "nothing_found": nothing_found,
    "revised_lungs": lambda shared: replace(two_lungs(shared), replaces=EARLIER),
}
MADE_VOLUMES = {
    "sagittal_mr": mr_series(ORIENTATIONS["sagittal"]),
    "slanted_mr": mr_series(ORIENTATIONS["oblique"]),
    "enhanced_ct": enhanced_series(ORIENTATIONS["coronal"]),
}
CONCLUSIONS = {f"conclusion_on_{name}": make for name, make in ON_EVERYTHING.items()}

# A real series whose UIDs begin with 0.0, which its results must copy.
COPIED_FAULTS = {"oblique_mr": "Illegal root for UID = <0.0.0.0."}


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
    for name in REAL_SERIES:
        store(two_sides(real_series(shared, name, root / name)), root / name)
    for name, sources in MADE_VOLUMES.items():
        store(two_sides(sources), root / name)
        for number, source in enumerate(sources):
            dcmwrite(root / name / f"source_{number}.dcm", source, enforce_file_format=True)
    for name, make_conclusion in CONCLUSIONS.items():
        made = make_conclusion()
        store(made, root / name)
        for number, source in enumerate(made.sources):
            dcmwrite(root / name / f"source_{number}.dcm", source, enforce_file_format=True)
    return findings_or_skip(shared, root)


@pytest.mark.parametrize("case", [*WRAPPED, *REAL_FILES, *REAL_SERIES, *MADE_VOLUMES, *CONCLUSIONS])
def test_the_validators_find_no_error_in_the_results(verdict: list[list[str]], case: str) -> None:
    named = {f"{case}/{kind}.dcm" for kind in ResultKind}
    errors = [line for line in verdict if line[0] in named and line[2] == "ERROR"]
    assert [line for line in errors if COPIED_FAULTS.get(case, "no fault") not in line[3]] == []


def test_the_validators_looked_at_the_results(verdict: list[list[str]]) -> None:
    expected = ("two_lungs/segmentation.dcm", "pixelmed", "ALLOWED")
    assert expected in {tuple(line[:3]) for line in verdict}


def test_dcmqi_reads_the_mask_that_was_encoded(shared: Path, tmp_path: Path) -> None:
    made = unsided_lungs(shared)
    store(made, tmp_path)
    (path,) = read_with_dcmqi(tmp_path)
    mask = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path))
    assert np.array_equal(mask[0] > 0, made.findings[0].mask)


@pytest.mark.parametrize("name", [*REAL_SERIES, *MADE_VOLUMES])
def test_dcmqi_reads_each_mask_of_a_volume_where_it_was_encoded(shared: Path, tmp_path: Path, name: str) -> None:
    sources = MADE_VOLUMES.get(name) or real_series(shared, name, tmp_path / "sources")
    made = two_sides(sources)
    store(made, tmp_path)
    assert made.grid is not None
    for path, sent in zip(read_with_dcmqi(tmp_path), made.findings, strict=True):
        image = SimpleITK.ReadImage(path)
        columns_rows_slices = np.argwhere(SimpleITK.GetArrayFromImage(image))[:, ::-1].astype(float)
        steps_mm = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
        places_mm = columns_rows_slices @ steps_mm.T + image.GetOrigin()
        inverse = np.linalg.inv(made.grid.affine)
        indices = places_mm @ inverse[:3, :3].T + inverse[:3, 3]
        read = np.zeros_like(sent.mask)
        read[tuple(np.rint(indices).astype(int).T)] = True
        assert np.abs(indices - np.rint(indices)).max() < 0.5
        assert np.array_equal(read, sent.mask)


def read_with_dcmqi(folder: Path) -> list[Path]:
    """Return the files that dcmqi makes of the SEG in the folder, one per segment."""
    reader = shutil.which("segimage2itkimage", path=str(Path(sys.executable).parent))
    if reader is None:
        pytest.skip("needs dcmqi, which the development dependencies install")
    command = [reader, "--inputDICOM", folder / "segmentation.dcm", "--outputDirectory", folder, "-t", "nrrd"]
    subprocess.run(command, capture_output=True, check=True)
    return sorted(folder.glob("*.nrrd"))
