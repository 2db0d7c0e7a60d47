"""The tumour classifier sees each slice as its training pictures were seen, however the series lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from turned import turned
from wrapped import axial_grid, mr_series, mr_slice

from node.card import read_card
from node.catalog import Model
from node.errors import PixelsRefused, StudyRefused
from node.imaging.series import read_volume
from node.imaging.volume import Grid, Unit, Volume
from node.inference.loading import load_part
from node.training.class_folders import ClassSample, choose_class_samples
from node.training.samples import Split
from node.vocabulary import Interpretation, Pixels

FOLDER = Path(__file__).resolve().parents[2] / "models" / "brain_mr_tumour_type"
MODEL = Model(FOLDER, read_card(FOLDER / "model.toml"))
PART = load_part(MODEL.folder, "preprocess")
PICTURES = load_part(MODEL.folder, "pictures")
ARCHITECTURE = load_part(MODEL.folder, "architecture")
LEAST_RIGHT = 0.85  # of a few validation pictures

Analyse = Callable[[Volume], Interpretation]


@pytest.fixture(scope="module")
def predict() -> Callable[[Pixels], Pixels]:
    network = ARCHITECTURE.build()
    network.load_weights(MODEL.weights)
    return lambda batch: np.asarray(network(batch, training=False))


@pytest.fixture(scope="module")
def analyse(predict: Callable[[Pixels], Pixels]) -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    return lambda volume: PART.interpret(predict(PART.prepare(volume)), volume)


@pytest.fixture(scope="module")
def validation(shared: Path) -> list[ClassSample]:
    samples = PICTURES.read_all(shared / "data" / "brain_tumor_mri")
    return choose_class_samples(samples, Split.VALIDATION)


def head(slices: int = 5, spacing_mm: float = 5.0) -> Volume:
    """Return axial slices of an ellipsoid, brighter at the patient's front and left, in noisy air."""
    grid = Grid((slices, 90, 80), (-80.0, -100.0, 0.0), ((0.0, 0.0, spacing_mm), (0.0, 2.2, 0.0), (2.0, 0.0, 0.0)))
    rows, columns = np.mgrid[0:90, 0:80]
    inside = ((rows - 44) / 36) ** 2 + ((columns - 40) / 28) ** 2 < 1
    picture = np.where(inside, 500 - 3 * rows + 2 * columns, 10)
    voxels = np.repeat(picture[np.newaxis], slices, axis=0).astype(np.int16)
    return Volume(voxels, grid, Unit.STORED, np.zeros(voxels.shape, np.bool_), (), "")


def test_the_networks_have_the_sizes_that_the_card_states() -> None:
    assert ARCHITECTURE.build().count_params() == 1_185_114
    assert ARCHITECTURE.VARIANTS["tutorial"]().count_params() == 2_104_758


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
@pytest.mark.parametrize("flips", [(), (1,), (2,), (1, 2)])
def test_a_series_stored_another_way_round_looks_the_same(order: tuple[int, int], flips: tuple[int, ...]) -> None:
    np.testing.assert_allclose(PART.prepare(turned(head(), (0, *order), flips)), PART.prepare(head()), atol=1e-5)


CORONAL = ((0.0, 3.0, 0.0), (0.0, 0.0, -2.2), (2.0, 0.0, 0.0))
SAGITTAL = ((3.0, 0.0, 0.0), (0.0, 0.0, -2.2), (0.0, 2.0, 0.0))


@pytest.mark.parametrize("steps", [CORONAL, SAGITTAL])
def test_coronal_and_sagittal_slices_have_the_head_up(steps: tuple[tuple[float, float, float], ...]) -> None:
    lying = head()
    grid = Grid(lying.grid.shape, (0.0, 0.0, 0.0), steps)
    standing = Volume(lying.voxels, grid, Unit.STORED, lying.padding, (), "")
    np.testing.assert_allclose(PART.prepare(turned(standing, (0, 2, 1), (1,))), PART.prepare(standing), atol=1e-5)
    np.testing.assert_allclose(PART.prepare(standing)[0], PART.prepare(lying)[0], atol=1e-5)


def test_the_frame_around_a_head_changes_nothing() -> None:
    volume = head()
    wide = np.pad(volume.voxels, ((0, 0), (30, 11), (7, 52)), constant_values=10)
    framed = Volume(
        wide, Grid(wide.shape, volume.grid.origin_mm, volume.grid.steps_mm), Unit.STORED,
        np.zeros(wide.shape, np.bool_), (), "",
    )  # fmt: skip
    np.testing.assert_allclose(PART.prepare(framed), PART.prepare(volume), atol=0.02)


def test_a_brighter_receiver_changes_nothing() -> None:
    volume = head()
    brighter = Volume(volume.voxels * 3 + 40, volume.grid, Unit.STORED, volume.padding, (), "")
    np.testing.assert_allclose(PART.prepare(brighter), PART.prepare(volume), atol=1e-4)


def test_of_a_thin_sliced_series_forty_slices_are_judged() -> None:
    volume = head(slices=175, spacing_mm=1.0)
    assert len(PART.prepare(volume)) == 40
    found = PART.interpret(np.full((40, 4), 0.25, np.float32), volume)
    assert found.remarks[0] == "40 of 175 slices were judged, each on its own."


def test_slices_above_the_head_are_not_judged() -> None:
    volume = head(slices=6)
    volume.voxels[0], volume.voxels[5] = 12, 9
    assert PART.chosen_slices(volume).tolist() == [1, 2, 3, 4]


NOTHING = [0.02, 0.02, 0.02, 0.94]
MENINGIOMA = [0.05, 0.9, 0.03, 0.02]


def test_a_tumour_in_three_neighbouring_slices_of_twenty_decides() -> None:
    prediction = np.tile(np.array(NOTHING, np.float32), (20, 1))
    prediction[7:10] = MENINGIOMA
    prediction[8] = [0.0, 0.99, 0.0, 0.01]
    (found,) = PART.interpret(prediction, head(slices=20)).classifications
    assert max(found.probabilities, key=lambda name: found.probabilities[name]) == "meningioma"
    assert found.slice_number == 8
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_three_suspicious_slices_apart_from_each_other_decide_nothing() -> None:
    prediction = np.tile(np.array(NOTHING, np.float32), (20, 1))
    prediction[[2, 9, 16]] = MENINGIOMA
    (found,) = PART.interpret(prediction, head(slices=20)).classifications
    assert max(found.probabilities, key=lambda name: found.probabilities[name]) == "no_tumour"


def test_a_single_slice_decides_alone() -> None:
    (found,) = PART.interpret(np.array([MENINGIOMA], np.float32), head(slices=1)).classifications
    assert found.probabilities["meningioma"] == pytest.approx(0.9, abs=1e-3)
    assert found.slice_number == 0


def test_ct_is_refused() -> None:
    volume = head()
    with pytest.raises(StudyRefused, match="HU"):
        PART.prepare(Volume(volume.voxels, volume.grid, Unit.HOUNSFIELD, volume.padding, (), ""))


def test_a_series_of_one_grey_is_refused() -> None:
    volume = head()
    with pytest.raises(PixelsRefused):
        PART.prepare(Volume(np.full_like(volume.voxels, 7), volume.grid, Unit.STORED, volume.padding, (), ""))


def test_real_pictures_sent_as_single_slices_are_told_apart(analyse: Analyse, validation: list[ClassSample]) -> None:
    right = []
    for sample in validation[::16]:
        dicom = mr_slice(PICTURES.read_picture(sample.picture).pixels * 255)
        (found,) = analyse(read_volume([dicom], may_be_single=True)).classifications
        right.append(max(found.probabilities, key=lambda name: found.probabilities[name]) == sample.label)
    assert len(right) >= 40
    assert np.mean(right) > LEAST_RIGHT


def test_dicom_gives_the_probabilities_of_the_evaluation(
    analyse: Analyse, predict: Callable[[Pixels], Pixels], validation: list[ClassSample]
) -> None:
    evaluation = load_part(MODEL.folder, "evaluate")
    for sample in validation[::200]:
        dicom = mr_slice(np.rint(PICTURES.read_picture(sample.picture).pixels * 255))
        (sent,) = analyse(read_volume([dicom], may_be_single=True)).classifications
        (scored,) = analyse(evaluation.as_volume(sample)).classifications
        assert sent.probabilities == pytest.approx(scored.probabilities, abs=1e-5)


def test_a_series_of_dicom_slices_names_the_slice_that_shows_it_best(analyse: Analyse) -> None:
    volume = head(slices=7)
    series = mr_series(volume.voxels, axial_grid(volume.voxels.shape, (5.0, 2.2, 2.0)))
    (found,) = analyse(read_volume(series)).classifications
    assert found.probabilities.keys() == {"glioma", "meningioma", "pituitary", "no_tumour"}
    assert 0 <= (found.slice_number or 0) < 7
