"""What every folder in models/ promises the node, whatever its network does."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from builders import shaded_picture
from numpy.typing import NDArray

from node.catalog import Catalog, Model
from node.imaging.image import PlanarImage
from node.imaging.volume import Grid, Unit, Volume
from node.inference.loading import load_part
from node.vocabulary import Interpretation

MODELS = Path(__file__).resolve().parents[2] / "models"
NAMES = sorted(Catalog([MODELS]).models)
MOST_BYTES = 10_000_000
CARD_SECTIONS = ("## Intended use", "## Data", "## Results", "## Limits", "## Licence")

ONLY_NEEDS_NUMPY = """
import sys
from pathlib import Path
from node.inference.loading import load_part
load_part(Path(sys.argv[1]), "preprocess")
print(*sorted({"keras", "tensorflow", "highdicom", "pynetdicom", "sqlalchemy"} & sys.modules.keys()))
"""


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> Model:
    return Catalog([MODELS])[request.param]


def odd_input(model: Model) -> PlanarImage | Volume:
    """Return what the model takes, of sizes that divide by nothing."""
    return odd_volume() if model.level == "series" else odd_image()


def odd_image() -> PlanarImage:
    """Return a picture that is neither square nor of even size, with padding at one edge."""
    pixels = shaded_picture(rows=301, columns=257).astype(np.float32) / 255.0
    padding = np.zeros(pixels.shape, np.bool_)
    padding[:, :9] = True
    return PlanarImage(pixels, padding, "L", "F", view_position="PA")


def odd_volume() -> Volume:
    """Return a block of tissue in air, whose slices run to the feet and lie askew, with padding at one side."""
    steps = ((0.5, 0.0, -7.0), (0.0, 5.3, 0.4), (6.1, 0.0, 0.4))
    grid = Grid((23, 61, 47), (-140.0, -160.0, 80.0), steps)
    voxels = np.full(grid.shape, -1000, np.int16)
    voxels[:, 9:-9, 7:-7] = 40
    padding = np.zeros(grid.shape, np.bool_)
    padding[:, :, :3] = True
    return Volume(voxels, grid, Unit.HOUNSFIELD, padding, (), "2.25.1")


def values_of(image: PlanarImage | Volume) -> NDArray[np.generic]:
    return image.voxels if isinstance(image, Volume) else image.pixels


def test_there_is_a_model_to_check() -> None:
    assert NAMES


def test_the_folder_bears_the_name_of_its_card(model: Model) -> None:
    assert model.folder.name == model.card.name


def test_the_weights_are_those_of_model_toml_and_small_enough_to_commit(model: Model) -> None:
    model.check_weights()
    assert model.weights.stat().st_size < MOST_BYTES


def test_prepare_gives_the_network_what_it_takes_and_leaves_the_image_alone(model: Model) -> None:
    image = odd_input(model)
    before = values_of(image).copy()
    batch = load_part(model.folder, "preprocess").prepare(image)
    network = load_part(model.folder, "architecture").build()
    assert batch.dtype == np.float32
    assert batch.shape[1:] == network.input_shape[1:]
    assert len(batch) == 1 or model.level == "series"
    assert np.isfinite(batch).all()
    np.testing.assert_array_equal(values_of(image), before)


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_interpret_gives_known_outputs_as_masks_on_the_grid_of_the_image(model: Model, answer: float) -> None:
    image, part = odd_input(model), load_part(model.folder, "preprocess")
    network = load_part(model.folder, "architecture").build()
    prediction = np.full((len(part.prepare(image)), *network.output_shape[1:]), answer, np.float32)
    interpretation = part.interpret(prediction, image)
    assert isinstance(interpretation, Interpretation)
    assert {region.output for region in interpretation.regions} <= model.card.output.keys()
    for region in interpretation.regions:
        assert region.mask.shape == values_of(image).shape
        assert region.mask.dtype == np.bool_
        assert region.mask.any()
    assert all(remark.endswith(".") for remark in interpretation.remarks)
    assert interpretation.regions or interpretation.remarks


def test_the_weights_fit_the_architecture(model: Model) -> None:
    network = load_part(model.folder, "architecture").build()
    untrained = [weights.copy() for weights in network.get_weights()]
    network.load_weights(model.weights)
    assert all(np.isfinite(weights).all() for weights in network.get_weights())
    assert any(not np.array_equal(old, new) for old, new in zip(untrained, network.get_weights(), strict=True))


def test_preparing_an_image_needs_no_network_library(model: Model) -> None:
    command = [sys.executable, "-c", ONLY_NEEDS_NUMPY, str(model.folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=MODELS.parent)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize("section", CARD_SECTIONS)
def test_the_card_has_every_section_a_reader_looks_for(model: Model, section: str) -> None:
    card = (model.folder / "card.md").read_text(encoding="utf-8")
    assert section in card.splitlines()
    assert "not for diagnosis" in card.lower()


def test_the_scores_of_model_toml_are_those_of_the_evaluation(model: Model) -> None:
    evaluation = json.loads((model.folder / "evaluation.json").read_text(encoding="utf-8"))
    scores = model.card.scores
    assert evaluation["weights_sha256"] == model.card.weights.sha256
    assert (scores["data"], scores["split"]) == (evaluation["data"], evaluation["split"])
    assert scores["pictures"] == evaluation["all"]["pictures"]
    for measure, found in evaluation["all"]["methods"]["network"].items():
        assert scores[measure] == pytest.approx(found, abs=0.0005)


def test_every_key_of_model_toml_is_explained(model: Model) -> None:
    explained = (MODELS / "README.md").read_text(encoding="utf-8")
    criteria = (MODELS.parent / "config" / "routes.toml").read_text(encoding="utf-8")
    card = tomllib.loads((model.folder / "model.toml").read_text(encoding="utf-8"))
    keys = {key for key in card if not isinstance(card[key], dict)} | set(card["weights"])
    for table in (*card["input"].values(), *card["output"].values()):
        keys |= set(table)
    assert [key for key in sorted(keys) if f"`{key}`" not in explained and f"\n# {key} = " not in criteria] == []
