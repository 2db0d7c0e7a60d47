"""The OCT classifier lays the retina flat, respects the side, and judges every frame."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from wrapped import op, opt, secondary_capture

from node.card import read_card
from node.catalog import Model
from node.errors import PixelsRefused, TrainingDataError
from node.imaging.image import PlanarImage
from node.imaging.ophthalmic import read_eye
from node.inference.loading import load_part
from node.training.class_folders import ClassSample
from node.training.samples import Split, read_picture
from node.vocabulary import Interpretation, Pixels

FOLDER = Path(__file__).resolve().parents[2] / "models" / "retina_opt_disease"
MODEL = Model(FOLDER, read_card(FOLDER / "model.toml"))
PART = load_part(MODEL.folder, "preprocess")
FLATTENING = load_part(MODEL.folder, "flattening")
PICTURES = load_part(MODEL.folder, "pictures")
IMAGENET = load_part(MODEL.folder, "imagenet")

Analyse = Callable[[PlanarImage], Interpretation]


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    return lambda image: PART.interpret(np.asarray(network(PART.prepare(image), training=False)), image)


@pytest.fixture(scope="module")
def samples(shared: Path) -> list[ClassSample]:
    return PICTURES.read_all(shared / "data")


def retina(bend: float = 0.0, tilt: float = 0.0, rows: int = 240, columns: int = 256) -> NDArray[np.uint8]:
    """Return a bright line below a grey band in the dark, bent and tilted by so many rows."""
    across = np.linspace(-1, 1, columns)
    line = 0.55 * rows + bend * across**2 + tilt * across
    depth = np.arange(rows)[:, np.newaxis] - line
    grey = 20.0 + 90.0 * ((depth > -40) & (depth < 0)) + 150.0 * np.exp(-((depth / 3) ** 2)) + 40.0 * (depth > 3)
    noise = np.random.default_rng(5).normal(0, 8, grey.shape)
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def planar(picture: NDArray[np.uint8]) -> PlanarImage:
    return PlanarImage(picture.astype(np.float32) / 255, np.zeros(picture.shape, np.bool_))


@pytest.mark.parametrize(("bend", "tilt"), [(0, 0), (40, 0), (-30, 0), (0, 45), (25, -30)])
def test_the_line_below_the_retina_is_found_however_it_bends(bend: float, tilt: float) -> None:
    across = np.linspace(-1, 1, 256)
    found = FLATTENING.bright_line(planar(retina(bend, tilt)).pixels)
    assert np.abs(found - (0.55 * 240 + bend * across**2 + tilt * across)).max() < 5


def test_a_bent_retina_looks_like_a_flat_one() -> None:
    flat, bent = (PART.look_at(planar(retina(bend))) for bend in (0, 40))
    assert np.corrcoef(flat.mean(axis=1), bent.mean(axis=1))[0, 1] > 0.97


def test_a_white_margin_is_not_taken_for_the_retina() -> None:
    picture = retina()
    picture[:30] = 255
    grey = planar(picture).pixels
    found = FLATTENING.bright_line(np.where(FLATTENING.white_margins(grey), np.float32(0), grey))
    assert np.abs(found - 0.55 * 240).max() < 5


def test_a_frame_without_contrast_is_refused() -> None:
    with pytest.raises(PixelsRefused, match=r"0\.500"):
        PART.prepare(PlanarImage(np.full((90, 100), 0.5, np.float32), np.zeros((90, 100), np.bool_)))


def test_a_white_page_is_refused() -> None:
    page = np.ones((90, 100), np.float32)
    page[40:50, 40:50] = 0.98
    page[0, 0] = 0.5
    with pytest.raises(PixelsRefused, match="no retina"):
        PART.prepare(PlanarImage(page, np.zeros(page.shape, np.bool_)))


@pytest.mark.parametrize(("side", "said"), [("R", "the right eye"), ("L", "the left eye"), ("", "not say which eye")])
def test_the_report_says_which_eye_or_that_nobody_said(side: str, said: str) -> None:
    image = replace(planar(retina()), laterality=side)
    remarks = PART.interpret(np.full((2, 4), 0.25, np.float32), image).remarks
    assert sum(said in remark for remark in remarks) == 1


def test_every_frame_is_judged_and_the_one_that_shows_most_is_named() -> None:
    image = read_eye(opt(np.stack([retina(bend) for bend in (0, 5, 10, 15, 20)])))
    assert PART.prepare(image).shape == (10, 96, 192, 1)
    prediction = np.tile(np.array([0.02, 0.02, 0.02, 0.94], np.float32), (10, 1))
    prediction[4:6] = [0.01, 0.01, 0.97, 0.01]
    prediction[2:4] = prediction[6:8] = [0.1, 0.1, 0.6, 0.2]
    found = PART.interpret(prediction, image)
    (classification,) = found.classifications
    assert classification.slice_number == 2
    assert max(classification.probabilities, key=lambda name: classification.probabilities[name]) == "drusen"
    assert "5 of 5 frames were judged, each on its own." in found.remarks


def test_of_many_frames_forty_are_judged() -> None:
    image = read_eye(opt(np.stack([retina(rows=80, columns=64)] * 97)))
    assert len(PART.prepare(image)) == 80


def test_a_single_frame_names_no_frame_and_the_two_most_probable_classes() -> None:
    found = PART.interpret(np.tile([0.1, 0.2, 0.65, 0.05], (2, 1)).astype(np.float32), planar(retina()))
    assert found.classifications[0].slice_number is None
    assert found.remarks[0] == "Most probable: drusen (65%), then diabetic macular oedema (20%)."


def test_tomography_photograph_and_capture_of_one_picture_give_the_same_answer(
    analyse: Analyse, samples: list[ClassSample]
) -> None:
    picture = np.rint(read_picture(samples[0].picture).pixels * 255).astype(np.uint8)
    evaluated = analyse(read_picture(samples[0].picture)).classifications[0].probabilities
    for dataset in (opt(picture), op(picture), secondary_capture(picture, "OPT")):
        found = analyse(read_eye(dataset)).classifications[0].probabilities
        assert found == pytest.approx(evaluated, abs=1e-4)


def test_real_pictures_of_the_test_split_are_better_than_guessed(analyse: Analyse, samples: list[ClassSample]) -> None:
    right = []
    for sample in (one for one in samples if one.split is Split.TEST):
        named = analyse(read_picture(sample.picture)).classifications[0].probabilities
        right.append(max(named, key=lambda name: named[name]) == sample.label)
    assert len(right) == 23
    assert np.mean(right) > 0.5


def test_no_patient_is_both_learned_from_and_tested(samples: list[ClassSample]) -> None:
    tested = {sample.picture.patient for sample in samples if sample.split is Split.TEST}
    learned = {sample.picture.patient for sample in PICTURES.for_learning(samples)}
    assert len(samples) == 101
    assert not tested & learned


def test_no_patient_is_in_two_folds(samples: list[ClassSample]) -> None:
    patients = [sample.picture.patient for sample in samples]
    fold_of = load_part(MODEL.folder, "evaluate").deal_folds(patients, seed=1)
    folds = {(patient, int(fold)) for patient, fold in zip(patients, fold_of, strict=True)}
    assert len(folds) == len(set(patients))


def test_the_tutorials_network_has_its_parameters() -> None:
    keras.config.set_dtype_policy("bfloat16")  # half the memory; the counts are the same
    try:
        network = load_part(MODEL.folder, "architecture").VARIANTS["tutorial"]()
    finally:
        keras.config.set_dtype_policy("float32")
    assert network.count_params() == 135_310_404
    assert sum(math.prod(weight.shape) for weight in network.trainable_weights) == 1_049_860
    assert network.output_shape == (None, 4)


def test_the_tutorials_loss_is_minus_the_logarithm_of_the_true_class() -> None:
    loss = load_part(MODEL.folder, "train").negative_log_likelihood
    logarithms = np.log(np.array([[0.7, 0.1, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], np.float32))
    found = np.asarray(loss(np.eye(4, dtype=np.float32)[[0, 3]], logarithms))
    np.testing.assert_allclose(found, -np.log([0.7, 0.25]), rtol=1e-5)


def test_imagenet_weights_that_cannot_be_fetched_are_asked_for_by_name(tmp_path: Path) -> None:
    gone = (tmp_path / "gone.h5").as_uri()
    with pytest.raises(TrainingDataError, match="download file:"):
        IMAGENET.fetch_imagenet(tmp_path / "kept", gone)
    assert not list((tmp_path / "kept").iterdir())


def test_a_file_that_is_not_the_imagenet_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.h5").write_bytes(b"not these")
    with pytest.raises(TrainingDataError, match="MD5"):
        IMAGENET.fetch_imagenet(tmp_path / "kept", (tmp_path / "other.h5").as_uri())


def test_grey_pictures_reach_the_imagenet_weights_as_blue_green_red_less_the_means() -> None:
    shown: Pixels = IMAGENET.as_imagenet(np.ones((1, 2, 2, 1), np.float32))
    np.testing.assert_allclose(shown[0, 0, 0], [151.061, 138.221, 131.32], atol=1e-3)
