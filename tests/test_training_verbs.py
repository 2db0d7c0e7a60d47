"""The verbs that make and measure models, as a person types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from node.cli import main


def radnode(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Return a folder with one picture to learn from and one to validate on."""
    lines = ["image,mask,split,patient,view,licence_class"]
    for split in ("train", "val"):
        picture, mask = np.full((64, 80), 200, np.uint8), np.zeros((64, 80), np.uint8)
        picture[8:56, 10:32], mask[8:56, 10:32] = 40, 255
        Image.fromarray(picture).save(tmp_path / f"{split}.png")
        Image.fromarray(mask).save(tmp_path / f"{split}_m.png")
        lines.append(f"{split}.png,{split}_m.png,{split},{split},PA,open")
    (tmp_path / "images.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_evaluate_reports_in_a_new_folder_and_never_in_that_of_the_model(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = pictures / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    found = radnode("evaluate", "chest_dx_lungs", "--data", pictures)
    assert found.exit_code == 0, found.output
    (output,) = here.iterdir()
    assert output.name.startswith("chest_dx_lungs-val-")
    evaluation = json.loads((output / "evaluation.json").read_text())
    assert [case["name"] for case in evaluation["cases"]] == ["val"]
    again = radnode("evaluate", "chest_dx_lungs", "--data", pictures, "--output", output)
    assert again.exit_code == 1
    assert "is not empty" in again.output


def test_train_refuses_a_variant_that_the_model_does_not_have(pictures: Path) -> None:
    words = ("--data", pictures, "--output", pictures / "run", "--variant", "larger")
    refused = radnode("train", "chest_dx_lungs", *words)
    assert refused.exit_code == 1
    assert "has no variant 'larger'" in refused.output


def test_a_model_that_cannot_be_trained_is_not_found_among_those_that_can(pictures: Path) -> None:
    refused = radnode("train", "chest_dx_hearts", "--data", pictures, "--output", pictures / "run")
    assert refused.exit_code == 1
    assert "no model 'chest_dx_hearts'" in refused.output
    assert "chest_dx_lungs" in refused.output


def test_a_new_model_is_trained_before_its_card_has_weights_and_scores(pictures: Path) -> None:
    folder = pictures / "models" / "chest_dx_new"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text("")
    (folder / "architecture.py").write_text("")
    refused = radnode(
        "train", "chest_dx_new", "--folder", folder.parent, "--data", pictures, "--output", pictures / "run"
    )
    assert "defines no function train" in refused.output
