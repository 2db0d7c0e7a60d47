"""The sex of a T1 head: the same however the series lies, and told with its probability."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from turned import turned

from node.catalog import Catalog
from node.errors import StudyRefused
from node.imaging.volume import Grid, Unit, Volume
from node.imaging.volume_files import read_volume_file
from node.inference.loading import load_part
from node.training.samples import Split
from node.training.subjects import choose_subjects, read_subjects
from node.vocabulary import Interpretation

MODEL = Catalog([Path(__file__).resolve().parents[2] / "models"])["brain_mr_sex"]
PART = load_part(MODEL.folder, "preprocess")

Analyse = Callable[[Volume], Interpretation]


@pytest.fixture(scope="module")
def analyse() -> Analyse:
    """Return the whole model: prepare, network, interpret."""
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    return lambda volume: PART.interpret(np.asarray(network(PART.prepare(volume), training=False)), volume)


@pytest.fixture(scope="module")
def volume(shared: Path) -> Volume:
    subjects = read_subjects(shared / "data" / "brain_t1_ixi")
    return read_volume_file(choose_subjects(subjects, Split.VALIDATION)[0].volume, Unit.STORED)


def test_the_probabilities_of_both_sexes_sum_to_one(analyse: Analyse, volume: Volume) -> None:
    found = analyse(volume).classifications[0]
    assert found.output in MODEL.card.output
    assert set(found.probabilities) == {"F", "M"} == set(MODEL.card.output["sex"].classes)
    assert sum(found.probabilities.values()) == pytest.approx(1.0)


def test_a_series_stored_in_another_plane_has_the_same_answer(analyse: Analyse, volume: Volume) -> None:
    sagittal = turned(volume, (2, 0, 1), (2,))
    first, again = (analyse(one).classifications[0].probabilities["M"] for one in (volume, sagittal))
    assert again == pytest.approx(first, abs=0.05)


def test_a_mirrored_head_has_the_same_answer(volume: Volume) -> None:
    network = load_part(MODEL.folder, "architecture").build()
    network.load_weights(MODEL.weights)
    head = PART.prepare(volume)
    np.testing.assert_allclose(network(head), network(head[:, :, :, ::-1]), atol=1e-5)


def test_the_same_series_gives_the_same_input_twice(volume: Volume) -> None:
    np.testing.assert_allclose(PART.prepare(volume), PART.prepare(volume), atol=1e-4)


def test_the_remark_says_that_it_is_an_estimate(volume: Volume) -> None:
    found = PART.interpret(np.array([[0.3, 0.7]], np.float32), volume)
    assert len(found.remarks) == 1
    assert "estimate" in found.remarks[0]
    assert found.classifications[0].probabilities == pytest.approx({"F": 0.3, "M": 0.7})


def test_a_block_that_is_no_head_is_refused() -> None:
    steps = ((0.0, 0.0, 3.0), (0.0, 3.0, 0.0), (3.0, 0.0, 0.0))
    voxels = np.zeros((50, 60, 50), np.int16)
    voxels[20:30, 5:55, 8:-8] = 300
    with pytest.raises(StudyRefused):
        PART.prepare(Volume(voxels, Grid(voxels.shape, (0.0, 0.0, 0.0), steps), Unit.STORED, voxels < 0, (), ""))


def test_odds_are_calibrated_on_scores_of_unseen_subjects() -> None:
    rng = np.random.default_rng(3)
    signs = np.where(rng.random(400) < 0.5, 1.0, -1.0)
    scores = 0.02 * (signs + rng.normal(0.0, 1.0, 400)) + 0.5
    slope, offset = load_part(MODEL.folder, "train").fit_odds(scores - 0.5, signs)
    male = 1.0 / (1.0 + np.exp(-(slope * (scores - 0.5) + offset)))
    for low, high in ((0.0, 0.3), (0.3, 0.7), (0.7, 1.0)):
        among = (male >= low) & (male < high)
        assert np.mean(signs[among] > 0) == pytest.approx(male[among].mean(), abs=0.1)


def test_what_lies_far_from_the_brain_is_not_seen(volume: Volume) -> None:
    seen = PART.prepare(volume)
    assert seen.shape == (1, 42, 52, 42, 1)
    assert not seen[0, :, 0].any()
    assert not seen[0, :, -1, :5].any()
    assert seen[0, 20:24, 24:28, 18:24].any()
