"""One command trains a real model folder and scores it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import ModelCardError, TrainingDataError
from node.training.command import evaluate_elsewhere, train_model
from node.training.options import TrainingOptions
from node.training.run_record import RunRecord, variant_of, write_record
from node.training.samples import Split

MODEL = Path(__file__).resolve().parents[2] / "models" / "chest_dx_lungs"
ROWS = ("train,1,open", "train,2,open", "val,3,open", "train,4,nc")

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two dark lungs per picture; the mask of the nc row cannot be read."""
    folder = tmp_path_factory.mktemp("data")
    lines = ["image,mask,split,patient,view,licence_class"]
    for row in ROWS:
        split, patient, licence = row.split(",")
        picture, mask = np.full((64, 80), 200, np.uint8), np.zeros((64, 80), np.uint8)
        for columns in (slice(10, 32), slice(46, 70)):
            picture[8:56, columns], mask[8:56, columns] = 40, 255
        Image.fromarray(picture).save(folder / f"{patient}.png")
        Image.fromarray(mask + (licence == "nc")).save(folder / f"{patient}_m.png")
        lines.append(f"{patient}.png,{patient}_m.png,{split},{patient},PA,{licence}")
    (folder / "images.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def weights(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the weights of a training of one epoch, in the folder of its run."""
    return train_model(MODEL, data, tmp_path_factory.mktemp("run"), TrainingOptions(epochs=1, seed=3))


def test_a_model_is_trained_and_scored_on_the_rows_its_licence_allows(weights: Path) -> None:
    assert weights.name == "best.weights.h5"
    evaluation = json.loads((weights.parent / "evaluation.json").read_text())
    assert (evaluation["split"], [case["name"] for case in evaluation["cases"]]) == ("val", ["3"])
    assert set(evaluation["all"]["methods"]) == {"network", "mean_training_mask", "dark_areas_by_Otsu"}


def test_weights_are_scored_elsewhere_and_their_run_stays_as_it_was(data: Path, weights: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in sorted(weights.parent.iterdir()) if path.is_file()}
    report = evaluate_elsewhere(MODEL, data, weights, Split.TRAIN, tmp_path)
    assert report.parent == tmp_path
    evaluation = json.loads((tmp_path / "evaluation.json").read_text())
    assert (evaluation["split"], evaluation["variant"]) == ("train", "served")
    assert [case["name"] for case in evaluation["cases"]] == ["1", "2"]
    assert {path: path.read_bytes() for path in sorted(weights.parent.iterdir()) if path.is_file()} == before
    assert "![Loss and scores of every epoch" in report.read_text()
    assert (tmp_path / "learning_curves.png").stat().st_size < 100_000
    with pytest.raises(TrainingDataError, match="not empty"):
        evaluate_elsewhere(MODEL, data, weights, Split.TRAIN, tmp_path)


def test_weights_that_left_a_patient_out_go_with_those_that_are_scored(
    data: Path, weights: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    for name in ("best.weights.h5", "without_P1.weights.h5"):
        (run / name).write_bytes(weights.read_bytes())
    evaluate_elsewhere(MODEL, data, run / "best.weights.h5", Split.TRAIN, tmp_path / "report")
    assert (tmp_path / "report" / "without_P1.weights.h5").is_file()


def test_a_variant_that_the_architecture_does_not_have_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelCardError, match="no variant 'larger'"):
        train_model(MODEL, data, tmp_path / "run", TrainingOptions(epochs=1, variant="larger"))
    assert not (tmp_path / "run").exists()


def test_the_record_beside_weights_tells_their_variant_and_served_weights_have_none(tmp_path: Path) -> None:
    assert variant_of(tmp_path / "weights.weights.h5") == "served"
    write_record(RunRecord("m", "set", TrainingOptions(variant="tutorial", seed=5)), tmp_path)
    assert variant_of(tmp_path / "best.weights.h5") == "tutorial"
    assert json.loads((tmp_path / "run.json").read_text())["options"]["seed"] == 5


def test_a_folder_without_a_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    with pytest.raises(ModelCardError, match="defines no function train"):
        train_model(tmp_path, tmp_path, tmp_path, TrainingOptions(epochs=1, seed=3))
