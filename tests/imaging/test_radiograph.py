"""Real and made radiographs read into the picture a viewer shows, and the rest refused by name."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from builders import CR, DX, SC, chest_dx, mirrored, rotated, shaded_picture, write
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_voi_lut

from node.errors import PixelsRefused
from node.imaging.radiograph import read_radiograph


def read_file(shared: Path, name: str) -> Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the headers of collected files are what they are
        return pydicom.dcmread(shared / "data" / name)


def largest_difference(first: Any, second: Any) -> float:
    return float(np.abs(first - second).max())


def coloured(photometric: str, **facts: Any) -> Dataset:
    """Return a Secondary Capture of three channels, all alike."""
    grey = shaded_picture()
    dataset = chest_dx(grey, sop_class=SC, **facts)
    dataset.SamplesPerPixel = 3
    dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    data = np.repeat(grey[..., np.newaxis], 3, axis=2).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    return dataset


def test_a_monochrome1_radiograph_of_a_detector_is_shown_inverted(shared: Path) -> None:
    dataset = read_file(shared, "dicom_misc/DX_fdfe27_dx_image.dcm")
    image = read_radiograph(dataset)
    assert largest_difference(image.pixels, 1 - dataset.pixel_array / 255) < 1e-6
    assert image.pixels.dtype == np.float32
    assert (image.row_direction, image.column_direction) == ("L", "F")
    assert image.spacing is not None
    assert "at the detector" in image.spacing.plane
    assert image.sop_instance_uid == dataset.SOPInstanceUID


@pytest.mark.parametrize("name", ["CR_07a3f3_RG2_J2KI", "CR_24d462_RG3_J2KI"])
def test_a_computed_radiograph_agrees_with_pydicoms_window(shared: Path, name: str) -> None:
    dataset = read_file(shared, f"dicom_misc/{name}.dcm")
    theirs = apply_voi_lut(dataset.pixel_array, dataset) / (2**dataset.BitsStored - 1)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        theirs = 1 - theirs
    image = read_radiograph(dataset)
    assert largest_difference(image.pixels, theirs) < 1e-5
    assert image.spacing is None
    assert "PixelSpacing" in image.spacing_refusal


@pytest.mark.parametrize(
    ("deep_jpeg", "twin"),
    [("CR_f03d1b_RG2_JPLY", "CR_07a3f3_RG2_J2KI"), ("CR_d06de3_RG3_JPLY", "CR_24d462_RG3_J2KI")],
)
def test_a_12_bit_jpeg_shows_the_same_picture_as_its_jpeg_2000_twin(
    shared: Path, deep_jpeg: str, twin: str
) -> None:
    first = read_radiograph(read_file(shared, f"dicom_misc/{deep_jpeg}.dcm"))
    second = read_radiograph(read_file(shared, f"dicom_misc/{twin}.dcm"))
    assert np.abs(first.pixels - second.pixels).mean() < 0.005  # both are lossy


@pytest.mark.skipif(shutil.which("dcmdjpeg") is None, reason="needs dcmdjpeg of the package dcmtk")
@pytest.mark.parametrize("name", ["CR_f03d1b_RG2_JPLY", "CR_d06de3_RG3_JPLY"])
def test_a_12_bit_jpeg_is_decoded_as_dcmtk_decodes_it(shared: Path, tmp_path: Path, name: str) -> None:
    decoded = tmp_path / "decoded.dcm"
    subprocess.run(["dcmdjpeg", shared / "data/dicom_misc" / f"{name}.dcm", decoded], check=True)
    ours = read_radiograph(read_file(shared, f"dicom_misc/{name}.dcm"))
    assert np.array_equal(ours.pixels, read_radiograph(pydicom.dcmread(decoded)).pixels)


def test_a_secondary_capture_of_a_public_archive_is_read_without_spacing(shared: Path) -> None:
    dataset = read_file(shared, "cxr_nih14/nih_cxr_1024.dcm")
    image = read_radiograph(dataset)
    assert largest_difference(image.pixels, dataset.pixel_array / 255) < 1e-6
    assert (image.row_direction, image.column_direction) == ("", "")
    assert image.spacing is None


@pytest.mark.parametrize(
    "name",
    [
        "OT_d9a30e_6",
        "XA_9de3bf_XA1_JLSN",
        "NM_01b95b_NM1_RLE",
        "XX_1c54b9_JLSL_16_15_1_1F",
        "CT_35f5ba_ctbrain1",
    ],
)
def test_a_grey_secondary_capture_is_read(shared: Path, name: str) -> None:
    image = read_radiograph(read_file(shared, f"dicom_misc/{name}.dcm"))
    assert image.pixels.min() >= 0
    assert image.pixels.max() <= 1
    assert image.pixels.std() > 0.02


@pytest.mark.parametrize(
    "name",
    ["OT_182e99_SC_rgb", "OT_128fb3_SC_rgb_jpeg_lossy_gdcm", "OT_c1287d_SC_ybr_full_422_uncompressed"],
)
def test_a_coloured_secondary_capture_is_refused(shared: Path, name: str) -> None:
    with pytest.raises(PixelsRefused, match=r"PhotometricInterpretation: found .* with colours in it"):
        read_radiograph(read_file(shared, f"dicom_misc/{name}.dcm"))


def test_two_frames_are_refused(shared: Path) -> None:
    with pytest.raises(PixelsRefused, match="NumberOfFrames: found 2, expected 1"):
        read_radiograph(read_file(shared, "dicom_misc/OT_5493f1_SC_rgb_rle_32bit_2frame.dcm"))


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("sop_class", [DX, CR, SC])
def test_a_monochrome1_twin_shows_the_same_picture(bits: int, sop_class: str) -> None:
    picture = shaded_picture()
    twins = [
        read_radiograph(chest_dx(picture, bits=bits, sop_class=sop_class, photometric=photometric))
        for photometric in ("MONOCHROME1", "MONOCHROME2")
    ]
    assert twins[0].pixels == pytest.approx(twins[1].pixels, abs=1e-6)
    assert twins[1].pixels == pytest.approx(picture / 255, abs=0.5 / 2**bits + 1e-4)


@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless, uid.DeflatedExplicitVRLittleEndian])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_losslessly_compressed_radiograph_shows_the_same_picture(
    tmp_path: Path, syntax: uid.UID, bits: int
) -> None:
    dataset = chest_dx(shaded_picture(), bits=bits)
    plain = read_radiograph(dataset).pixels
    if syntax.is_encapsulated:
        plugin = "pydicom" if syntax == uid.RLELossless else "pyjpegls"  # GDCM aborts on odd lengths
        dataset.compress(syntax, encoding_plugin=plugin, generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    read_back = pydicom.dcmread(write(dataset, tmp_path))
    assert np.array_equal(read_radiograph(read_back).pixels, plain)


def test_values_below_zero_are_read_as_such() -> None:
    dataset = chest_dx(np.array([[0, 1, 2]], np.uint8), WindowCenter=0, WindowWidth=5, bits=12)
    dataset.PixelRepresentation = 1
    # In 12 bits 0xFFE is -2; what the bits above hold, as once overlays did, is not part of the value.
    dataset.PixelData = np.array([0x0FFE, 0x3000, 0x0002], "<u2").tobytes()
    dataset.VOILUTFunction = "LINEAR_EXACT"
    assert read_radiograph(dataset).pixels[0] == pytest.approx([0.1, 0.5, 0.9], abs=1e-6)


def test_orientation_is_handed_on_as_the_header_states_it() -> None:
    turned, orientation = rotated(*mirrored(shaded_picture(), ("L", "F")))
    image = read_radiograph(chest_dx(turned, orientation=orientation))
    assert (image.row_direction, image.column_direction) == ("F", "L")
    assert read_radiograph(chest_dx(turned, orientation=None)).row_direction == ""
    assert read_radiograph(chest_dx(turned, PatientOrientation="L")).row_direction == ""


def test_a_grey_picture_stored_as_colour_is_read_as_grey() -> None:
    image = read_radiograph(coloured("RGB", WindowCenter=40, WindowWidth=10))
    assert image.pixels == pytest.approx(shaded_picture() / 255, abs=1e-6)


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("PixelData", {"PixelData": None}),
    ("PixelData", {"PixelData": b"\1\2\3\4"}),
    ("PhotometricInterpretation", {"PhotometricInterpretation": "PALETTE COLOR"}),
    ("PhotometricInterpretation", {"PhotometricInterpretation": None}),
    ("SOPClassUID", {"SOPClassUID": uid.CTImageStorage}),
    ("SOPClassUID", {"SOPClassUID": None}),
    ("PresentationIntentType", {"SOPClassUID": uid.DigitalXRayImageStorageForProcessing}),
    ("PresentationIntentType", {"PresentationIntentType": "FOR PROCESSING"}),
    ("NumberOfFrames", {"NumberOfFrames": 3}),
    ("Rows", {"Rows": 0}),
    ("Rows", {"Rows": 65535, "Columns": 65535}),
    ("HighBit", {"HighBit": 6}),
    ("BitsStored", {"BitsStored": 9}),
    ("BitsStored", {"BitsAllocated": 1}),
    ("BitsStored", {"BitsStored": None}),
    ("PixelData", {"SamplesPerPixel": None}),
]


@pytest.mark.parametrize(("attribute", "facts"), REFUSED)
def test_what_is_no_grey_scale_picture_is_refused_by_name(attribute: str, facts: dict[str, Any]) -> None:
    with pytest.raises(PixelsRefused, match=f"^{attribute}: .*expected .*; "):
        read_radiograph(chest_dx(shaded_picture(), **facts))


@pytest.mark.parametrize("name", ["CR_f03d1b_RG2_JPLY", "CR_07a3f3_RG2_J2KI", "XA_9de3bf_XA1_JLSN"])
def test_a_compressed_stream_cut_short_or_garbled_is_refused(shared: Path, name: str) -> None:
    dataset = read_file(shared, f"dicom_misc/{name}.dcm")
    garbled = bytearray(dataset.PixelData)
    garbled[16:600] = bytes(584)
    dataset.PixelData = bytes(garbled)
    with pytest.raises(PixelsRefused, match="PixelData: cannot be decoded"):
        read_radiograph(dataset)
