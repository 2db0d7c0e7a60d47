"""The lungs of real chest X-rays, and which side they are called."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import mirrored, rotated

from node.catalog import Catalog
from node.errors import PixelsRefused, StudyRefused
from node.imaging.image import PlanarImage
from node.imaging.normalise import BLACK
from node.imaging.resample import letterbox
from node.inference.loading import load_part
from node.training.readers import choose, read_samples
from node.training.samples import Sample, Split, read_picture, read_truth
from node.training.scores import score
from node.vocabulary import Interpretation, Mask, Pixels

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["chest_dx_lungs"]
PART = load_part(MODEL.folder, "preprocess")
LOWEST_DICE = 0.80

Analyse = Callable[[PlanarImage], Interpretation]


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    return lambda image: PART.interpret(np.asarray(network(PART.prepare(image), training=False)), image)


@pytest.fixture(scope="module")
def validation(shared: Path) -> list[Sample]:
    return choose(read_samples(shared / "data" / "cxr_v7"), Split.VALIDATION, frozenset({"open"}))


@pytest.fixture(scope="module")
def chest(validation: list[Sample]) -> PlanarImage:
    """Return a real X-ray, cut so that it is not square, with the orientation it is displayed in."""
    image = read_picture(validation[0])
    return replace(image, pixels=image.pixels[3:, 12:-9], padding=image.padding[3:, 12:-9], **DISPLAYED)


DISPLAYED = {"row_direction": "L", "column_direction": "F"}


def turned(image: PlanarImage, quarter_turns: int, is_mirrored: bool) -> PlanarImage:
    """Return the image as another detector may have stored it, with its PatientOrientation."""
    pixels, orientation = image.pixels, (image.row_direction, image.column_direction)
    if is_mirrored:
        pixels, orientation = mirrored(pixels, orientation)
    pixels, orientation = rotated(pixels, orientation, quarter_turns)
    return PlanarImage(pixels, np.zeros(pixels.shape, np.bool_), *orientation, view_position=image.view_position)


def turn_mask(mask: Mask, quarter_turns: int, is_mirrored: bool) -> Mask:
    return np.rot90(mask[:, ::-1] if is_mirrored else mask, quarter_turns)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("quarter_turns", [0, 1, 2, 3])
def test_a_mirrored_or_rotated_image_has_the_same_right_and_left_lung(
    analyse: Analyse, chest: PlanarImage, quarter_turns: int, is_mirrored: bool
) -> None:
    upright = {region.output: region.mask for region in analyse(chest).regions}
    found = {region.output: region.mask for region in analyse(turned(chest, quarter_turns, is_mirrored)).regions}
    assert upright.keys() == found.keys() == {"right_lung", "left_lung"}
    for name, mask in upright.items():
        np.testing.assert_array_equal(found[name], turn_mask(mask, quarter_turns, is_mirrored))


def test_the_right_lung_is_at_the_left_of_the_display(analyse: Analyse, chest: PlanarImage) -> None:
    columns = {region.output: np.argwhere(region.mask)[:, 1].mean() for region in analyse(chest).regions}
    assert columns["right_lung"] < chest.pixels.shape[1] / 2 < columns["left_lung"]


def test_without_patient_orientation_no_side_is_stated_and_the_report_says_why(
    analyse: Analyse, chest: PlanarImage
) -> None:
    found = analyse(replace(chest, row_direction="", column_direction=""))
    assert [region.output for region in found.regions] == ["lung", "lung"]
    assert found.remarks == (
        "Lungs are not called left or right because the image has no PatientOrientation.",
    )


def test_lungs_of_real_chest_x_rays_are_outlined(analyse: Analyse, validation: list[Sample]) -> None:
    scores = {}
    for sample in validation[::3]:
        image = read_picture(sample)
        found = np.any([region.mask for region in analyse(image).regions], axis=0)
        scores[sample.name] = score(read_truth(sample), found).dice
    assert len(scores) == 4
    assert min(scores.values()) > LOWEST_DICE, scores


def test_a_lateral_view_is_refused(chest: PlanarImage) -> None:
    with pytest.raises(StudyRefused, match="a frontal image needs"):
        PART.prepare(replace(chest, row_direction="A"))


def test_a_picture_of_one_grey_is_refused(chest: PlanarImage) -> None:
    with pytest.raises(PixelsRefused, match=r"reach from 0\.500 to 0\.500"):
        PART.prepare(replace(chest, pixels=np.full_like(chest.pixels, 0.5)))


def test_a_picture_that_is_all_padding_is_refused(chest: PlanarImage) -> None:
    with pytest.raises(PixelsRefused, match="every pixel is padding"):
        PART.prepare(replace(chest, padding=np.ones_like(chest.padding)))


def test_padding_changes_neither_contrast_nor_what_the_network_sees_inside(chest: PlanarImage) -> None:
    padding = np.zeros_like(chest.padding)
    padding[:, :60] = True
    black, white = (replace(chest, padding=padding, pixels=np.where(padding, grey, chest.pixels)) for grey in (0, 1))
    seen = PART.prepare(black)[0, :, 35:, 0]
    np.testing.assert_allclose(seen, PART.prepare(white)[0, :, 35:, 0], atol=0.02)
    assert PART.prepare(white)[0, :, :25, 0].max() == BLACK


def test_a_darker_exposure_of_the_same_chest_gives_the_same_input(chest: PlanarImage) -> None:
    darker = replace(chest, pixels=chest.pixels * 0.4 + 0.1)
    np.testing.assert_allclose(PART.prepare(darker), PART.prepare(chest), atol=1e-3)


def predict(*boxes: tuple[slice, slice]) -> tuple[Pixels, PlanarImage]:
    """Return a prediction that marks boxes of an upright 200 x 240 image, and that image."""
    pixels = np.zeros((200, 240), np.float32)
    image = PlanarImage(pixels, np.zeros(pixels.shape, np.bool_), **DISPLAYED, view_position="PA")
    marked = np.zeros_like(pixels)
    for box in boxes:
        marked[box] = 1.0
    return letterbox(marked, PART.SIZE)[np.newaxis, :, :, np.newaxis], image


RIGHT = (slice(30, 160), slice(40, 100))
LEFT = (slice(30, 160), slice(140, 200))


def test_the_masks_return_to_the_pixels_that_were_marked() -> None:
    found = PART.interpret(*predict(RIGHT, LEFT))
    for region, box in zip(found.regions, (RIGHT, LEFT), strict=True):
        expected = np.zeros((200, 240), np.bool_)
        expected[box] = True
        assert 2 * (region.mask & expected).sum() / (region.mask.sum() + expected.sum()) > 0.98
    assert [region.output for region in found.regions] == ["right_lung", "left_lung"]
    assert found.remarks == ()


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([RIGHT], "only one connected area"),
        ([(slice(30, 90), slice(40, 100)), (slice(95, 160), slice(40, 100))], "do not lie side by side"),
        ([RIGHT, (slice(30, 55), slice(140, 165))], "do not lie side by side"),
    ],
    ids=["one lung", "one lung in two parts", "a lung and a patch"],
)
def test_lungs_that_are_not_a_clear_pair_are_not_called_right_and_left(
    boxes: list[tuple[slice, slice]], reason: str
) -> None:
    found = PART.interpret(*predict(*boxes))
    assert {region.output for region in found.regions} == {"lung"}
    assert len(found.regions) == len(boxes)
    assert reason in found.remarks[0]


def test_a_stray_patch_is_left_out() -> None:
    found = PART.interpret(*predict(RIGHT, LEFT, (slice(180, 190), slice(5, 20))))
    assert len(found.regions) == 2
    assert not any(region.mask[180:190, 5:20].any() for region in found.regions)


def test_an_image_without_lungs_gives_no_region_and_says_so() -> None:
    found = PART.interpret(*predict())
    assert found == Interpretation((), ("No lung was found in this image.",))


def test_a_view_that_is_not_stated_is_remarked() -> None:
    prediction, image = predict(RIGHT, LEFT)
    found = PART.interpret(prediction, replace(image, view_position=""))
    assert found.remarks == ("The image does not state its view position (PA or AP).",)


def test_the_network_of_the_tutorial_takes_and_gives_what_the_served_one_does() -> None:
    architecture = load_part(MODEL.folder, "architecture")
    served, tutorial = architecture.build(), architecture.VARIANTS["tutorial"]()
    assert (tutorial.input_shape, tutorial.output_shape) == (served.input_shape, served.output_shape)
    assert (served.count_params(), tutorial.count_params()) == (1_945_233, 7_768_353)
