"""One command trains a real model folder and scores it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from node.errors import ModelCardError
from node.training.command import train_model

MODEL = Path(__file__).resolve().parents[2] / "models" / "chest_dx_lungs"
ROWS = ("train,1,open", "train,2,open", "val,3,open", "train,4,nc")

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a folder with two dark lungs per picture; the mask of the nc row cannot be read."""
    lines = ["image,mask,split,patient,view,licence_class"]
    for row in ROWS:
        split, patient, licence = row.split(",")
        picture, mask = np.full((64, 80), 200, np.uint8), np.zeros((64, 80), np.uint8)
        for columns in (slice(10, 32), slice(46, 70)):
            picture[8:56, columns], mask[8:56, columns] = 40, 255
        Image.fromarray(picture).save(tmp_path / f"{patient}.png")
        Image.fromarray(mask + (licence == "nc")).save(tmp_path / f"{patient}_m.png")
        lines.append(f"{patient}.png,{patient}_m.png,{split},{patient},PA,{licence}")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_a_model_is_trained_and_scored_on_the_rows_its_licence_allows(data: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    weights = train_model(MODEL, data, output, epochs=1, seed=3, resume=False)
    assert weights == output / "best.weights.h5"
    evaluation = json.loads((output / "evaluation.json").read_text())
    assert (evaluation["split"], [case["name"] for case in evaluation["cases"]]) == ("val", ["3"])
    assert set(evaluation["all"]["methods"]) == {"network", "mean_training_mask", "dark_areas_by_Otsu"}


def test_a_folder_without_a_recipe_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("")
    with pytest.raises(ModelCardError, match="defines no function train"):
        train_model(tmp_path, tmp_path, tmp_path, epochs=1, seed=3, resume=False)
