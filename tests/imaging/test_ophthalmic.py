"""Pictures of an eye are read frame by frame, with the side that their header states."""

from __future__ import annotations

import numpy as np
import pytest
from builders import shaded_picture
from pydicom.dataset import Dataset
from wrapped import mr_slice, op, opt, secondary_capture

from node.errors import PixelsRefused
from node.imaging.laterality import stated_laterality
from node.imaging.ophthalmic import frames_of, is_eye, read_eye
from node.imaging.radiograph import read_radiograph

FRAMES = np.stack([shaded_picture(seed=seed) for seed in (1, 2, 3)])


def test_every_frame_of_a_tomography_is_read_in_its_order() -> None:
    image = read_eye(opt(FRAMES))
    assert len(frames_of(image)) == 3
    for frame, stored in zip(frames_of(image), FRAMES, strict=True):
        assert np.corrcoef(frame.pixels.ravel(), stored.ravel())[0, 1] > 0.999
    np.testing.assert_array_equal(image.pixels, image.frames[0].pixels)


@pytest.mark.parametrize("side", ["R", "L"])
def test_the_side_of_the_eye_is_that_of_the_header(side: str) -> None:
    image = read_eye(opt(FRAMES, laterality=side))
    assert {image.laterality, *(frame.laterality for frame in image.frames)} == {side}


def test_a_grey_photograph_and_a_capture_filed_as_tomography_are_eyes() -> None:
    for dataset in (op(FRAMES[0]), secondary_capture(FRAMES[0], "OPT"), secondary_capture(FRAMES[0], "OP")):
        assert is_eye(dataset)
        assert len(read_eye(dataset).frames) == 1


def test_a_capture_that_holds_three_equal_channels_is_read_as_grey() -> None:
    grey = read_eye(secondary_capture(np.repeat(FRAMES[0][..., np.newaxis], 3, axis=-1), "OPT"))
    np.testing.assert_allclose(grey.pixels, FRAMES[0] / 255, atol=1e-6)


def test_a_photograph_in_colour_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="colours"):
        read_eye(op(np.stack(list(FRAMES), axis=-1)))


def test_a_capture_of_another_modality_is_no_eye() -> None:
    dataset = secondary_capture(FRAMES[0], "OT")
    assert not is_eye(dataset)
    with pytest.raises(PixelsRefused, match="modality OT"):
        read_eye(dataset)


def test_more_frames_than_any_camera_makes_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(PixelsRefused, match="NumberOfFrames"):
        read_eye(opt(FRAMES, NumberOfFrames=2_000_000))


def sided(**facts: str) -> Dataset:
    dataset = Dataset()
    for keyword, value in facts.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("facts", "side"),
    [
        ({"ImageLaterality": "R"}, "R"),
        ({"Laterality": "L"}, "L"),
        ({"ImageLaterality": "R", "Laterality": "R"}, "R"),
        ({"ImageLaterality": "R", "Laterality": "L"}, ""),
        ({"ImageLaterality": "B"}, ""),
        ({"ImageLaterality": "", "Laterality": ""}, ""),
        ({}, ""),
    ],
)
def test_no_side_is_stated_where_the_header_states_none_or_contradicts_itself(facts: dict[str, str], side: str) -> None:
    assert stated_laterality(sided(**facts)) == side


def test_frames_that_show_another_side_than_the_image_state_none() -> None:
    dataset = opt(FRAMES, laterality="R", ImageLaterality="L")
    assert stated_laterality(dataset) == ""


def test_a_radiograph_says_which_side_it_shows() -> None:
    assert read_radiograph(secondary_capture(FRAMES[0], Laterality="L")).laterality == "L"


def test_a_slice_of_mr_is_no_eye() -> None:
    assert not is_eye(mr_slice(FRAMES[0]))
