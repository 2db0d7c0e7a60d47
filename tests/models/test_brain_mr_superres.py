"""Thick slices and large voxels become finer ones in the same place, with the same mean, and sharper than splines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from volumes import mr_study

from node.catalog import Catalog
from node.errors import PixelsRefused, SeriesRefused
from node.imaging.series import read_volume
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.inference.loading import load_part
from node.training.options import TrainingOptions
from node.training.samples import Split
from node.vocabulary import Interpretation, Pixels, RefinedVolume

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["brain_mr_superres"]
PART = load_part(MODEL.folder, "preprocess")
INTERPOLATION = load_part(MODEL.folder, "interpolation")
DEGRADATION = load_part(MODEL.folder, "degradation")
ARCHITECTURE = load_part(MODEL.folder, "architecture")

THICK = ((0.0, 0.0, 6.0), (0.0, 1.5, 0.0), (1.4, 0.0, 0.0))
LARGE = ((0.0, 0.0, 4.0), (0.0, 4.0, 0.0), (3.5, 0.0, 0.0))

Predict = Callable[[Pixels], Pixels]


@pytest.fixture(scope="module")
def predict() -> Predict:
    predict: Predict = load_part(MODEL.folder, "evaluate").load_network(MODEL.weights)
    return predict


def head(steps: tuple[tuple[float, ...], ...] = THICK, shape: tuple[int, int, int] = (11, 37, 41)) -> Volume:
    """Return a bright ellipsoid off the middle with a ramp in it, in stored units above 20."""
    places = np.meshgrid(*(np.linspace(-1.0, 1.0, side) for side in shape), indexing="ij")
    distance = sum((place - middle) ** 2 for place, middle in zip(places, (0.1, -0.1, 0.2), strict=True))
    voxels = np.where(distance < 0.6, 300.0 + 200.0 * places[0] + 100.0 * places[2], 20.0).astype(np.int16)
    return Volume(voxels, Grid(shape, (-30.0, 12.0, 44.0), steps), Unit.STORED, np.zeros(shape, np.bool_), (), "2.25.1")


def refine(volume: Volume, predict: Predict = lambda batch: batch) -> RefinedVolume:
    """Return what the model makes of a volume, with a network that changes nothing unless one is given."""
    interpretation: Interpretation = PART.interpret(predict(PART.prepare(volume)), volume)
    return interpretation.refinements[0]


def itk_splines(voxels: Pixels, factors: tuple[int, int, int]) -> Pixels:
    image = SimpleITK.GetImageFromArray(voxels)
    size = [int(side * factor) for side, factor in zip(voxels.shape, factors, strict=True)]
    spacing = [1.0 / factor for factor in reversed(factors)]
    origin = [0.5 / factor - 0.5 for factor in reversed(factors)]
    finer = SimpleITK.Resample(
        image, size[::-1], SimpleITK.Transform(), SimpleITK.sitkBSpline, origin, spacing, image.GetDirection(), 0.0
    )
    return np.asarray(SimpleITK.GetArrayFromImage(finer))


@pytest.mark.parametrize("factors", [(4, 1, 1), (4, 4, 4), (2, 3, 1)])
def test_splines_are_those_of_itk(factors: tuple[int, int, int]) -> None:
    voxels = np.random.default_rng(1).normal(0.0, 100.0, (7, 9, 5)).astype(np.float32)
    np.testing.assert_allclose(INTERPOLATION.upsample(voxels, factors), itk_splines(voxels, factors), atol=1e-3)


def test_a_ramp_stays_a_ramp_between_voxels_by_straight_lines() -> None:
    positions = INTERPOLATION.finer_positions(6, 4)
    weights = INTERPOLATION.linear_weights(6, positions)
    inside = (positions >= 0) & (positions <= 5)
    np.testing.assert_allclose((weights @ np.arange(6.0))[inside], positions[inside], atol=1e-6)


def test_a_coarse_voxel_lies_in_the_middle_of_the_fine_ones_it_covers() -> None:
    ramp = np.arange(24, dtype=np.float32)[:, np.newaxis, np.newaxis] * np.ones((1, 4, 4), np.float32)
    coarse = DEGRADATION.coarsen(ramp, (4, 1, 1))
    assert coarse.shape == (6, 4, 4)
    np.testing.assert_allclose(coarse[1:-1, 0, 0], [5.5, 9.5, 13.5, 17.5], atol=0.05)


@pytest.mark.parametrize(("steps", "factors"), [(THICK, (4, 1, 1)), (LARGE, (4, 4, 4))])
def test_a_network_that_changes_nothing_gives_splines(
    steps: tuple[tuple[float, ...], ...], factors: tuple[int, int, int]
) -> None:
    volume = head(steps)
    refined = refine(volume)
    assert refined.factors == factors
    assert refined.voxels.shape == tuple(side * factor for side, factor in zip((11, 37, 41), factors, strict=True))
    splines = np.maximum(INTERPOLATION.upsample(volume.voxels.astype(np.float32), factors), 20.0)
    np.testing.assert_allclose(refined.voxels, splines, rtol=0.03, atol=0.5)


def test_windows_begin_at_coarse_voxels_and_cover_a_long_volume() -> None:
    volume = head(shape=(29, 130, 101))
    assert len(PART.prepare(volume)) > 4
    splines = np.maximum(INTERPOLATION.upsample(volume.voxels.astype(np.float32), (4, 1, 1)), 20.0)
    np.testing.assert_allclose(refine(volume).voxels, splines, rtol=0.03, atol=0.5)


@pytest.mark.parametrize("steps", [THICK, LARGE])
def test_mean_lowest_value_and_centre_of_a_head_stay(
    predict: Predict, steps: tuple[tuple[float, ...], ...]
) -> None:
    volume = head(steps)
    refined = refine(volume, predict)
    assert refined.voxels.dtype == np.float32
    assert refined.voxels.mean() == pytest.approx(volume.voxels.mean(), rel=1e-3)
    assert refined.voxels.min() == pytest.approx(20.0, abs=0.5)
    for axis, (side, factor) in enumerate(zip((11, 37, 41), refined.factors, strict=True)):
        before = centre(volume.voxels.astype(np.float32) - 20.0, np.arange(side), axis)
        after = centre(refined.voxels - 20.0, INTERPOLATION.finer_positions(side, factor), axis)
        assert after == pytest.approx(before, abs=0.1)


def centre(values: Pixels, positions: np.ndarray, axis: int) -> float:
    along = values.sum(axis=tuple(other for other in range(3) if other != axis))
    return float((along * positions).sum() / along.sum())


def test_a_scale_of_grey_values_changes_nothing_else(predict: Predict) -> None:
    volume = head()
    louder = replace(volume, voxels=(volume.voxels * 7).astype(np.int16))
    np.testing.assert_allclose(refine(louder, predict).voxels, 7 * refine(volume, predict).voxels, rtol=1e-3, atol=1.0)


@pytest.mark.parametrize(
    "steps",
    [
        ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
        ((0.0, 0.0, 2.5), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
        ((0.0, 0.0, 3.0), (0.0, 8.0, 0.0), (3.0, 0.0, 0.0)),
    ],
)
def test_voxels_that_are_neither_thick_nor_large_are_refused(steps: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(SeriesRefused, match="expected slices at least 3 times as far apart"):
        PART.prepare(head(steps))


def test_a_handful_of_slices_is_refused() -> None:
    with pytest.raises(SeriesRefused, match="7 x 37 x 41 voxels"):
        PART.prepare(head(shape=(7, 37, 41)))


def test_a_series_that_would_grow_beyond_a_thousand_slices_is_refused() -> None:
    with pytest.raises(SeriesRefused, match="1004 slices"):
        PART.prepare(head(shape=(251, 12, 12)))


def test_a_volume_without_contrast_is_refused() -> None:
    flat = head()
    with pytest.raises(PixelsRefused, match="every voxel has the same value"):
        PART.prepare(replace(flat, voxels=np.full_like(flat.voxels, 5)))


def test_the_operator_reads_the_size_of_voxels_before_and_after(predict: Predict) -> None:
    volume = read_volume(mr_study(slices=12, spacing=(6.0, 1.5, 1.0), shape=(32, 32)))
    interpretation = PART.interpret(predict(PART.prepare(volume)), volume)
    assert "1.50 x 1.50 x 1.00 mm" in interpretation.remarks[0]
    assert "6.00 x 1.50 x 1.00 mm" in interpretation.remarks[0]


def test_untrained_it_gives_back_what_it_was_given() -> None:
    network = ARCHITECTURE.build((16, 16, 16))
    volume = np.random.default_rng(1).normal(size=(1, 16, 16, 16, 1)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(network(volume)), volume, atol=1e-6)


def test_cells_become_channels_and_voxels_again() -> None:
    keras_layers = pytest.importorskip("keras")
    given = keras_layers.Input((16, 16, 16, 1))
    there = ARCHITECTURE.to_cells(given, (16, 16, 16), name="there")
    back = ARCHITECTURE.to_voxels(there, (16, 16, 16), name="back")
    volume = np.random.default_rng(1).normal(size=(1, 16, 16, 16, 1)).astype(np.float32)
    cells = np.asarray(keras_layers.Model(given, there)(volume))
    np.testing.assert_array_equal(cells[0, 1, 2, 3, :2], volume[0, 4, 4, 6:8, 0])
    np.testing.assert_array_equal(np.asarray(keras_layers.Model(given, back)(volume)), volume)


def test_the_network_of_the_tutorial_answers_on_the_same_grid() -> None:
    network = ARCHITECTURE.VARIANTS["tutorial"]()
    assert network.output_shape == network.input_shape == ARCHITECTURE.build().input_shape


def test_examples_depend_on_the_seed_only() -> None:
    material = load_part(MODEL.folder, "material")
    volume = np.random.default_rng(1).integers(0, 255, (90, 80, 85)).astype(np.uint8)
    first, again, other = (
        material.draw_pair(volume, material.Variation(), np.random.default_rng(seed)) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[0].shape == first[1].shape == (64, 64, 64, 1)
    assert not np.array_equal(first[1], other[1])


def test_training_writes_weights_that_the_node_can_load(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    (data / "t1").mkdir(parents=True)
    source = shared / "data" / "brain_t1_ixi" / "t1"
    for name in ("IXI012-HH-1211", "IXI013-HH-1212"):
        (data / "t1" / f"{name}.nii.gz").symlink_to(source / f"{name}_t1_2mm.nii.gz")
    (data / "subjects.csv").write_text("subject,split\nIXI012-HH-1211,train\nIXI013-HH-1212,val\n")
    part = load_part(MODEL.folder, "train")
    monkeypatch.setattr(part, "REPEATS", part.BATCH_SIZE)  # one step, as the tutorial's network is a slow one
    monkeypatch.setattr(part, "VALIDATION_PAIRS", 1)
    weights = part.train(data, tmp_path / "run", TrainingOptions(epochs=1, variant="tutorial"))
    ARCHITECTURE.VARIANTS["tutorial"]().load_weights(weights)


def test_a_real_head_is_sharper_than_by_splines(predict: Predict, shared: Path) -> None:
    evaluate = load_part(MODEL.folder, "evaluate")
    file = shared / "data" / "brain_t1_ixi" / "t1" / "IXI013-HH-1212_t1_2mm.nii.gz"  # of the validation split
    true = read_volume_file(file, Unit.STORED)
    part = replace(true, voxels=true.voxels[20:68], grid=replace(true.grid, shape=(48, *true.grid.shape[1:])))
    scores, _ = evaluate.score_volume(part, (4, 1, 1), evaluate.make_methods(predict))
    assert scores["network"]["psnr"] > scores["cubic_b_splines"]["psnr"] + 0.2
    assert scores["network"]["ssim"] > scores["cubic_b_splines"]["ssim"] + 0.01


def test_no_subject_is_in_two_splits(shared: Path) -> None:
    subjects = load_part(MODEL.folder, "train").read_subjects(shared / "data" / "brain_t1_ixi")
    assert {subject.split for subject in subjects} == set(Split)
    assert len({subject.name for subject in subjects}) == len(subjects)
