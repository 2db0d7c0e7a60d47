"""The age of a T1 head: the same however the series lies, with its interval and what limits it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from specimens import odd_head
from volumes import read_all, unpack

from node.catalog import Catalog
from node.errors import StudyRefused
from node.imaging.series import read_volume
from node.imaging.volume import Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.inference.loading import load_part
from node.training.samples import Split
from node.training.subjects import Subject, choose_subjects, read_subjects
from node.vocabulary import Interpretation, Quantity

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["brain_mr_age"]
PART = load_part(MODEL.folder, "preprocess")
TRAIN = load_part(MODEL.folder, "train")

Analyse = Callable[[Volume], Interpretation]


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    return lambda volume: PART.interpret(np.asarray(network(PART.prepare(volume), training=False)), volume)


@pytest.fixture(scope="module")
def subject(shared: Path) -> Subject:
    return choose_subjects(read_subjects(shared / "data" / "brain_t1_ixi"), Split.VALIDATION)[0]


@pytest.fixture(scope="module")
def volume(subject: Subject) -> Volume:
    return read_volume_file(subject.volume, Unit.STORED)


def predicted(age: float, half: float = 12.0, brain_ml: float = 1200.0) -> np.ndarray:
    return np.array([[age, half, 150.0, brain_ml / 2, brain_ml / 2]], np.float32)


def test_the_age_of_a_subject_lies_in_its_interval(analyse: Analyse, volume: Volume, subject: Subject) -> None:
    (age,) = analyse(volume).quantities
    assert age.output in MODEL.card.output
    assert age.low < age.value < age.high
    assert subject.age is not None
    assert age.low <= subject.age <= age.high


def test_a_head_of_which_slices_run_the_other_way_is_as_old(analyse: Analyse, volume: Volume) -> None:
    grid = volume.grid
    steps = (tuple(-step for step in grid.steps_mm[0]), *grid.steps_mm[1:])
    origin = tuple(grid.position_mm((grid.shape[0] - 1, 0, 0)).tolist())
    other = replace(volume, voxels=volume.voxels[::-1].copy(), grid=replace(grid, origin_mm=origin, steps_mm=steps))
    ages = [analyse(one).quantities[0].value for one in (volume, other)]
    assert ages[0] == pytest.approx(ages[1], abs=1.0)


def test_a_whole_head_of_another_scanner_has_an_age_and_the_report_says_that_it_looks_unlike(
    analyse: Analyse, shared: Path, tmp_path: Path
) -> None:
    archive = shared / "data" / "mr_dicom" / "mr_enhanced_t1_siemens_xa30_96frames.tar.xz"
    found = analyse(read_volume(read_all(unpack(archive, tmp_path))))
    assert len(found.quantities) == 1
    assert any("looks unlike those it learnt from" in remark for remark in found.remarks)


def test_the_interval_is_as_wide_as_the_network_says_and_ends_at_birth(volume: Volume) -> None:
    assert PART.interpret(predicted(50.0), volume).quantities == (Quantity("age", 50.0, 38.0, 62.0),)
    assert PART.interpret(predicted(5.0), volume).quantities == (Quantity("age", 5.0, 0.0, 17.0),)


@pytest.mark.parametrize(
    ("prediction", "remark"),
    [
        (predicted(12.0), "lies outside these ages"),
        (predicted(50.0, brain_ml=400.0), "Grey and white matter measure 400 ml"),
    ],
    ids=["a child's estimate", "half a brain"],
)
def test_an_estimate_that_cannot_be_trusted_is_remarked(volume: Volume, prediction: np.ndarray, remark: str) -> None:
    assert any(remark in sentence for sentence in PART.interpret(prediction, volume).remarks)
    assert not any(remark in sentence for sentence in PART.interpret(predicted(50.0), volume).remarks)


def test_a_ct_is_refused() -> None:
    with pytest.raises(StudyRefused, match="expected T1-weighted MR"):
        PART.prepare(replace(odd_head((4.1, 3.9, 4.0)), unit=Unit.HOUNSFIELD))


def test_the_half_interval_holds_what_it_says() -> None:
    errors = np.random.default_rng(2).normal(0.0, 6.0, 102)
    assert np.mean(np.abs(errors) <= TRAIN.half_interval(errors)) >= 0.95
    assert TRAIN.half_interval(errors) == pytest.approx(1.96 * 6.0, abs=2.5)


def test_the_linear_layers_give_what_was_fitted() -> None:
    rng = np.random.default_rng(1)
    architecture = load_part(MODEL.folder, "architecture")
    network = architecture.build()
    tissue_size, grey_size = (output.shape[1] for output in network.get_layer("features").outputs[:2])
    learnt = TRAIN.Learnt(
        rng.random((12, tissue_size), np.float32), rng.random((12, grey_size), np.float32), np.linspace(20, 80, 12)
    )
    TRAIN.fit_age(network, learnt, half_years=9.0)
    grey, tissue = (network.get_layer(name) for name in ("age_of_grey", "age_of_tissue"))
    found = np.asarray(grey(learnt.grey) + tissue(learnt.tissue))[:, 0]
    assert np.corrcoef(found, learnt.ages)[0, 1] > 0.99
    assert network.get_layer("half_interval").get_weights()[0] == pytest.approx([9.0])


def test_both_sides_of_the_head_count_alike() -> None:
    coarse = load_part(MODEL.folder, "architecture").coarse
    head = np.random.default_rng(0).random((1, 88, 104, 88, 1), np.float32)
    np.testing.assert_allclose(coarse(head, name="a"), coarse(head[:, :, :, ::-1], name="b"), atol=1e-6)


def test_smoothing_keeps_a_constant_and_spreads_a_point_evenly() -> None:
    smooth = load_part(MODEL.folder, "architecture").smooth_along
    point = np.zeros((1, 5, 5, 5, 1), np.float32)
    point[0, 2, 2, 2] = 1.0
    np.testing.assert_allclose(np.asarray(smooth(point, 1))[0, :, 2, 2, 0], [0, 0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(smooth(np.ones((1, 5, 5, 5, 1), np.float32), 3), 1.0)
