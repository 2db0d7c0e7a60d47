"""Upright chest X-rays pass the gate; turned ones, inverted ones and other pictures are refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from builders import rotated

from node.catalog import Catalog
from node.errors import PixelsRefused, StudyRefused
from node.imaging.image import PlanarImage
from node.imaging.radiograph import read_radiograph
from node.inference.loading import load_part
from node.training.samples import Split
from node.vocabulary import Interpretation, Pixels

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["chest_dx_frontal"]
PART = load_part(MODEL.folder, "preprocess")
COLLECTION = load_part(MODEL.folder, "collection")

Judge = Callable[[PlanarImage], Interpretation]


@pytest.fixture(scope="module")
def judge() -> Judge:
    """Return the whole gate: prepare, network, interpret."""
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    return lambda image: PART.interpret(np.asarray(network(PART.prepare(image), training=False)), image)


@pytest.fixture(scope="module")
def chest(shared: Path) -> PlanarImage:
    """Return an upright chest that training did not see."""
    image: PlanarImage = COLLECTION.read_uprights(shared / "data", Split.VALIDATION)[0].image
    return image


def picture(pixels: Pixels) -> PlanarImage:
    return PlanarImage(np.ascontiguousarray(pixels), np.zeros(pixels.shape, np.bool_))


def test_upright_chests_pass(judge: Judge, shared: Path) -> None:
    for upright in COLLECTION.read_uprights(shared / "data", Split.VALIDATION):
        found = judge(upright.image).classifications[0]
        assert max(found.probabilities, key=found.probabilities.__getitem__) == "upright"
        assert sum(found.probabilities.values()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("quarter_turns", "reason"),
    [(1, "on its side, the head to the left"), (2, "upside down"), (3, "on its side, the head to the right")],
)
def test_a_turned_chest_is_refused_and_the_message_says_how_it_lies(
    judge: Judge, chest: PlanarImage, quarter_turns: int, reason: str
) -> None:
    with pytest.raises(StudyRefused, match=reason):
        judge(picture(np.rot90(chest.pixels, quarter_turns)))


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_a_turned_chest_passes_where_its_header_says_how_it_lies(
    judge: Judge, chest: PlanarImage, quarter_turns: int
) -> None:
    pixels, (row, column) = rotated(chest.pixels, ("L", "F"), quarter_turns)
    assert judge(replace(picture(pixels), row_direction=row, column_direction=column)).classifications


def test_an_inverted_chest_is_refused(judge: Judge, chest: PlanarImage) -> None:
    with pytest.raises(StudyRefused, match="air looks white"):
        judge(picture(1.0 - chest.pixels))


def test_a_hip_that_calls_itself_a_chest_is_refused(judge: Judge, shared: Path) -> None:
    hips = sorted((shared / "data" / "dicom_misc").glob("CR_*_RG2_J2KI.dcm"))
    assert len(hips) == 1
    with pytest.raises(StudyRefused, match="no frontal chest"):
        judge(read_radiograph(pydicom.dcmread(hips[0])))


def test_the_reason_names_the_probability_and_what_to_do() -> None:
    prediction = np.array([[0.2, 0.0, 0.0, 0.0, 0.0, 0.8]], np.float32)
    with pytest.raises(StudyRefused, match=r"upright frontal chest 0\.20, expected at least .*; send a frontal view"):
        PART.interpret(prediction, picture(np.zeros((4, 4), np.float32)))


def test_a_lateral_that_its_header_calls_one_is_refused(chest: PlanarImage) -> None:
    with pytest.raises(StudyRefused, match="a frontal image needs"):
        PART.prepare(replace(chest, row_direction="A", column_direction="F"))


def test_a_picture_of_one_grey_is_refused() -> None:
    with pytest.raises(PixelsRefused, match="grey values of the picture reach"):
        PART.prepare(picture(np.full((256, 256), 0.5, np.float32)))


def test_the_network_has_an_answer_for_each_kind() -> None:
    assert load_part(MODEL.folder, "architecture").CLASSES == len(PART.KINDS) == len(MODEL.card.output["kind"].classes)
    assert set(PART.KINDS) == set(MODEL.card.output["kind"].classes)


def test_examples_to_learn_from_are_of_the_kind_they_say(chest: PlanarImage) -> None:
    dealing = load_part(MODEL.folder, "dealing")
    still = replace(
        dealing.LIMITS, rotation_degrees=0, scale=0, stretch=0, shift=0, bend=0, gamma=0, contrast=0,
        shading=0, opacity=0.1, noise=0,
    )  # fmt: skip
    draw = dealing.Drawer([chest], [picture(np.eye(40, dtype=np.float32))], still)
    seen = PART.prepare(chest)[0, :, :, 0]
    expected = {
        kind: [np.rot90(side, turns).ravel() for side in (seen, seen[:, ::-1])]
        for turns, kind in enumerate(dealing.TURNED)
    }
    kinds = set()
    for number in range(40):
        drawn, target = draw(number, np.random.default_rng(number))
        kind = PART.KINDS[int(np.argmax(target))]
        kinds.add(kind)
        if kind in expected:
            assert max(np.corrcoef(drawn.ravel(), picture)[0, 1] for picture in expected[kind]) > 0.95
    assert kinds == set(PART.KINDS)


def test_no_picture_is_in_two_splits() -> None:
    patterns = [set(COLLECTION.PATTERNS[split]) for split in Split]
    assert not set.intersection(*patterns)
    assert not set(COLLECTION.SERIES[Split.TRAIN]) & set(COLLECTION.SERIES[Split.VALIDATION])


def test_the_same_seed_draws_the_same_pattern() -> None:
    draw = load_part(MODEL.folder, "drawing").draw_pattern
    np.testing.assert_array_equal(draw(3).pixels, draw(3).pixels)
    assert not np.array_equal(draw(3).pixels, draw(8).pixels)
