"""Stored values to grey, against numbers worked out by hand and against pydicom's own arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from builders import chest_dx, shaded_picture
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_modality_lut, apply_windowing
from pydicom.uid import ExplicitVRBigEndian

from node.errors import PixelsRefused
from node.imaging.intensity import Stored, display_pixels, padding_mask

STEPS = np.array([[0, 1, 2, 3], [126, 127, 128, 255]], np.uint8)
NO_VOI: dict[str, Any] = {"WindowCenter": None, "WindowWidth": None}


def shown(stored: Stored, **facts: Any) -> Any:
    """Return the grey of stored values in the header that these facts make."""
    dataset = chest_dx(shaded_picture(), **facts)
    return display_pixels(stored, padding_mask(stored, dataset), dataset)


def table(entries: Any, first_mapped: int, bits: int, vr: str = "US") -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first_mapped, bits]
    item["LUTDescriptor"].VR = "SS" if first_mapped < 0 else "US"
    item.add_new("LUTData", vr, entries if vr == "US" else bytes(entries))
    return item


def test_a_full_linear_window_shows_stored_values_unchanged() -> None:
    assert shown(STEPS) == pytest.approx(STEPS / 255, abs=1e-6)


def test_a_linear_window_follows_the_formula_of_the_standard() -> None:
    # ((x - (c - 0.5)) / (w - 1) + 0.5) with c = 2, w = 3: 0.25 for x = 1, 0.75 for x = 2
    grey = shown(STEPS, WindowCenter=2, WindowWidth=3)
    assert grey[0] == pytest.approx([0.0, 0.25, 0.75, 1.0])


def test_an_exact_linear_window_is_not_shifted_by_half_a_value() -> None:
    grey = shown(STEPS, WindowCenter=2, WindowWidth=4, VOILUTFunction="LINEAR_EXACT")
    assert grey[0] == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_a_sigmoid_window_follows_the_formula_of_the_standard() -> None:
    grey = shown(STEPS, WindowCenter=2, WindowWidth=4, VOILUTFunction="SIGMOID")
    assert grey[0] == pytest.approx(1 / (1 + np.exp([2.0, 1.0, 0.0, -1.0])), abs=1e-6)


def test_a_steep_sigmoid_window_does_not_overflow() -> None:
    grey = shown(STEPS, WindowCenter=128, WindowWidth=0.001, VOILUTFunction="SIGMOID")
    assert grey[1].tolist() == [0.0, 0.0, 0.5, 1.0]


def test_a_linear_window_of_width_one_is_a_threshold() -> None:
    assert shown(STEPS, WindowCenter=2, WindowWidth=1)[0].tolist() == [0.0, 0.0, 1.0, 1.0]


def test_the_first_of_several_windows_is_used() -> None:
    grey = shown(STEPS, WindowCenter=[2, 128], WindowWidth=[3, 256])
    assert grey[0] == pytest.approx([0.0, 0.25, 0.75, 1.0])


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("slope", [1.0, 2.5, -1.5])
def test_rescale_and_window_agree_with_pydicom(function: str, slope: float) -> None:
    stored = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    facts = {"bits": 12, "RescaleSlope": slope, "RescaleIntercept": -100, "VOILUTFunction": function}
    dataset = chest_dx(shaded_picture(), **facts, WindowCenter=1500 * slope, WindowWidth=1800)
    theirs = apply_windowing(apply_modality_lut(stored, dataset), dataset)
    ends = sorted(end * slope - 100 for end in (0, 4095))
    low, high = ends if slope > 0 else ends[::-1]
    ours = display_pixels(stored, np.zeros(stored.shape, np.bool_), dataset)
    assert ours == pytest.approx((theirs - low) / (high - low), abs=1e-6)


def test_monochrome1_shows_the_lowest_value_white() -> None:
    assert shown(STEPS, photometric="MONOCHROME1") == pytest.approx(1 - STEPS / 255, abs=1e-6)


@pytest.mark.parametrize(("photometric", "shape"), [("MONOCHROME1", "IDENTITY"), ("MONOCHROME2", "INVERSE")])
def test_two_polarities_in_one_header_are_refused(photometric: str, shape: str) -> None:
    with pytest.raises(PixelsRefused, match=r"PresentationLUTShape: found .* with PhotometricInterpretation"):
        shown(STEPS, photometric=photometric, PresentationLUTShape=shape)


@pytest.mark.parametrize("vr", ["US", "OW"])
def test_a_voi_lut_is_followed_with_its_ends_held(vr: str) -> None:
    entries = [0, 100, 400, 1023]
    data = entries if vr == "US" else np.array(entries, "<u2").tobytes()
    item = table(entries, first_mapped=1, bits=10)
    item.add_new("LUTData", vr, data)
    grey = shown(STEPS, VOILUTSequence=[item])
    assert grey[0] == pytest.approx(np.array([0, 0, 100, 400]) / 1023, abs=1e-6)
    assert grey[1] == pytest.approx(1.0)


def test_a_voi_lut_of_8_bits_packed_two_to_a_word_is_unpacked_in_either_byte_order() -> None:
    item = table([*range(250, 255), 0], first_mapped=0, bits=8, vr="OW")
    item.LUTDescriptor = [5, 0, 8]
    grey = shown(STEPS, VOILUTSequence=[item])
    assert grey[0] == pytest.approx(np.array([250, 251, 252, 253]) / 255, abs=1e-6)
    dataset = chest_dx(shaded_picture(), VOILUTSequence=[item])
    item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert display_pixels(STEPS, STEPS < 0, dataset) == pytest.approx(grey)


def test_a_modality_lut_comes_before_the_window() -> None:
    item = table([1000, 2000, 3000, 4000], first_mapped=-1, bits=16)
    stored = np.array([[-5, -1, 0, 1, 2, 9]], np.int16)
    grey = shown(
        stored, ModalityLUTSequence=[item], WindowCenter=2500, WindowWidth=3000, VOILUTFunction="LINEAR_EXACT"
    )
    assert grey[0] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1], abs=1e-6)


def test_a_lut_shorter_than_its_descriptor_is_refused() -> None:
    item = table([0, 1, 2], first_mapped=0, bits=10)
    item.LUTDescriptor = [4, 0, 10]
    with pytest.raises(PixelsRefused, match="VOILUTSequence: LUTData has 3 entries, expected 4"):
        shown(STEPS, VOILUTSequence=[item])


def test_padding_is_black_and_found_before_any_lut() -> None:
    stored = np.array([[4, 5, 6, 7, 8]], np.uint8)
    dataset = chest_dx(
        shaded_picture(), photometric="MONOCHROME1", PixelPaddingValue=7, PixelPaddingRangeLimit=5
    )
    padding = padding_mask(stored, dataset)
    assert padding[0].tolist() == [False, True, True, True, False]
    grey = display_pixels(stored, padding, dataset)
    assert grey[0, 1:4].tolist() == [0, 0, 0]
    assert grey[0, 0] == pytest.approx(1 - 4 / 255)


def test_without_voi_the_range_of_what_was_seen_is_shown() -> None:
    stored = np.arange(1000, 2000, dtype=np.uint16).reshape(20, 50)
    stored[0, 0] = 60000
    grey = shown(stored, bits=16, PixelPaddingValue=60000, **NO_VOI)
    assert grey[0, 0] == 0
    low, high = np.percentile(stored.ravel()[1:], [0.5, 99.5])
    assert grey[10, 10] == pytest.approx((stored[10, 10] - low) / (high - low), abs=1e-6)


def test_8_bit_values_without_voi_are_shown_as_they_are() -> None:
    facts = {**NO_VOI, "RescaleSlope": None, "RescaleIntercept": None}
    assert shown(STEPS, **facts) == pytest.approx(STEPS / 255, abs=1e-6)


def test_a_blank_picture_without_voi_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="PixelData: found the same value everywhere"):
        shown(np.full((4, 4), 700, np.uint16), bits=12, **NO_VOI)


@pytest.mark.parametrize(
    ("attribute", "facts"),
    [
        ("WindowWidth", {"WindowWidth": 0}),
        ("WindowWidth", {"WindowWidth": 0, "VOILUTFunction": "SIGMOID"}),
        ("WindowWidth", {"WindowWidth": 0.5}),
        ("WindowWidth", {"WindowWidth": None}),
        ("WindowWidth", {"WindowCenter": None}),
        ("VOILUTFunction", {"VOILUTFunction": "CUBIC"}),
        ("RescaleSlope", {"RescaleSlope": 0}),
        ("RescaleSlope", {"RescaleSlope": None}),
        ("RescaleSlope", {"RescaleIntercept": None}),
        ("PixelPaddingValue", {"PixelPaddingValue": [1, 2]}),
        ("VOILUTSequence", {"VOILUTSequence": [Dataset()]}),
    ],
)
def test_a_transformation_that_cannot_be_followed_is_refused_by_name(
    attribute: str, facts: dict[str, Any]
) -> None:
    with pytest.raises(PixelsRefused, match=f"^{attribute}: .*expected"):
        shown(STEPS, **facts)
