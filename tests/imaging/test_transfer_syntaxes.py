"""Every CT, MR and PET instance that was collected ends as voxels or in a refusal that says why."""

from __future__ import annotations

import subprocess
import warnings
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from volumes import read_all

from node.errors import MissingGeometry, PixelsRefused, SingleSlice, StudyRefused
from node.imaging.decoding import decode_frame
from node.imaging.series import read_volume
from node.imaging.volume import Volume

EXPECTED_SYNTAXES = {
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
    uid.RLELossless,
    uid.JPEGExtended12Bit,
    uid.JPEGLossless,
    uid.JPEGLosslessSV1,
    uid.JPEGLSLossless,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
    uid.JPEG2000Lossless,
}

# What is refused for another reason than that it states no frame of reference: names begin so.
EXPECTED_REFUSALS = {
    "CT_35f5ba": (PixelsRefused, "SOPClassUID"),  # Secondary Capture
    "CT_477f51": (PixelsRefused, "SOPClassUID"),
    "CT_4df27f": (PixelsRefused, "SOPClassUID"),
    "CT_9a9fcb": (PixelsRefused, "SOPClassUID"),
    "CT_97cd9b": (PixelsRefused, "cannot be decoded"),  # JPEG Spectral Selection, retired
    "MR_3f956d": (PixelsRefused, "cannot be decoded"),  # PixelData without a value
    "MR_435f8f": (PixelsRefused, "SOPClassUID"),
    "MR_eae198": (PixelsRefused, "SOPClassUID"),
    "MR_ed1df4": (PixelsRefused, "SOPClassUID: found none"),
    "MR_f48e6f": (PixelsRefused, "SOPClassUID: found none"),
    "MR_499c7a": (MissingGeometry, "PerFrameFunctionalGroupsSequence"),
    "MR_8807e7": (MissingGeometry, "PerFrameFunctionalGroupsSequence"),
    "MR_8c16f5": (MissingGeometry, "PerFrameFunctionalGroupsSequence"),
    "MR_d3e7cf": (MissingGeometry, "PerFrameFunctionalGroupsSequence"),
    "MR_82d70a": (MissingGeometry, "ImagePositionPatient"),
}


@pytest.fixture(scope="module")
def collected(shared: Path) -> dict[str, Dataset]:
    """The collected slices by the first nine letters of their names."""
    files = sorted(path for kind in ("CT", "MR", "PT") for path in (shared / "data/dicom_misc").glob(f"{kind}_*.dcm"))
    return {path.name[:9]: dataset for path, dataset in zip(files, read_all(files), strict=True)}


def with_a_neighbour(dataset: Dataset) -> list[Dataset]:
    """Return the slice and a copy of it 5 mm further along the normal."""
    neighbour = deepcopy(dataset)
    row, column = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)
    place = np.array(dataset.ImagePositionPatient, float) + 5 * np.cross(row, column)
    neighbour.ImagePositionPatient = [float(f"{number:.8g}") for number in place]
    neighbour.SOPInstanceUID = uid.generate_uid()
    return [dataset, neighbour]


def is_placed(dataset: Dataset) -> bool:
    return {"ImagePositionPatient", "ImageOrientationPatient", "SOPInstanceUID"} <= set(dataset.dir())


def outcome(dataset: Dataset) -> Volume | StudyRefused:
    """Return the volume of the slice and its neighbour, or why there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the decoders' remarks on collected streams
        try:
            return read_volume(with_a_neighbour(dataset) if is_placed(dataset) else [dataset])
        except StudyRefused as refusal:
            return refusal


def test_collected_slices_are_decoded_or_refused_by_name(collected: dict[str, Dataset]) -> None:
    found = {name: outcome(dataset) for name, dataset in collected.items()}
    refusals = {name: refusal for name, refusal in found.items() if isinstance(refusal, StudyRefused)}
    assert set(EXPECTED_REFUSALS) <= set(refusals)
    for name, refusal in refusals.items():
        kind, words = EXPECTED_REFUSALS.get(name, (MissingGeometry, "FrameOfReferenceUID: found none"))
        assert isinstance(refusal, kind), (name, refusal)
        assert words in str(refusal), name
    read = set(found) - set(refusals)
    assert {collected[name].file_meta.TransferSyntaxUID for name in read} == EXPECTED_SYNTAXES


def test_decoded_slices_have_the_values_of_pydicom(collected: dict[str, Dataset]) -> None:
    compared = 0
    for name, dataset in collected.items():
        is_deep = dataset.file_meta.get("TransferSyntaxUID") == uid.JPEGExtended12Bit
        if name in EXPECTED_REFUSALS or not dataset.get("FrameOfReferenceUID") or not is_placed(dataset) or is_deep:
            continue
        volume = outcome(dataset)
        assert isinstance(volume, Volume), name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            stored = pixel_array(dataset).astype(np.float64)
        theirs = stored * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
        seen = ~volume.padding[0]
        np.testing.assert_allclose(volume.voxels[0][seen], theirs[seen], rtol=1e-6, err_msg=name)
        compared += 1
    assert compared >= 60


@pytest.mark.parametrize("name", ["MR_8e60bb", "MR_43867b", "MR_810033"])
def test_jpeg_extended_of_12_bits_has_the_values_of_dcmtk(
    name: str, shared: Path, collected: dict[str, Dataset], tmp_path: Path
) -> None:
    (path,) = (shared / "data/dicom_misc").glob(f"{name}*.dcm")
    subprocess.run(["dcmdjpeg", str(path), str(tmp_path / "plain.dcm")], check=True, capture_output=True)
    (plain,) = read_all([tmp_path / "plain.dcm"])
    np.testing.assert_array_equal(decode_frame(collected[name]), plain.pixel_array)


def test_single_collected_slices_are_refused_as_volumes(shared: Path, tmp_path: Path) -> None:
    archive = shared / "data/ct_slices_covid_nysbu/slices.tar.xz"
    subprocess.run(["tar", "-xJf", str(archive), "-C", str(tmp_path)], check=True)
    files = sorted(tmp_path.rglob("*.dcm"))
    assert files
    for dataset in read_all(files):
        with pytest.raises(SingleSlice, match=r"found 1 slice\(s\)"):
            read_volume([dataset])
