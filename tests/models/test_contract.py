"""What every folder in models/ promises the node, whatever its network does."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from specimens import specimens

from node.catalog import Catalog, Model
from node.errors import StudyRefused
from node.imaging.image import PlanarImage
from node.imaging.volume import Volume
from node.inference.description import describe
from node.inference.loading import load_part
from node.vocabulary import Interpretation

MODELS = Path(__file__).resolve().parents[2] / "models"
CATALOG = Catalog([MODELS])
NAMES = sorted(CATALOG.models)
MOST_BYTES = 10_000_000
MAY_REFUSE_AN_ANSWER = {"gate", "map"}
MOST_BYTES_TOGETHER = 40_000_000
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
    return CATALOG[request.param]


@cache
def fitting(name: str) -> tuple[PlanarImage | Volume, NDArray[np.float32]]:
    """Return the first specimen that the model does not refuse, and what it prepared of it."""
    model = CATALOG[name]
    prepare, refusals = load_part(model.folder, "preprocess").prepare, []
    for image in specimens(model):
        try:
            return image, prepare(image)
        except StudyRefused as refusal:
            refusals.append(str(refusal))
    pytest.fail(f"{model.card.name} refused every specimen: {refusals}")


@cache
def shapes_of(name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the shapes of what the network takes and of what it answers, of one image."""
    network = load_part(CATALOG[name].folder, "architecture").build()
    return network.input_shape[1:], network.output_shape[1:]


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
    before = [values_of(image).copy() for image in specimens(model)]
    image, batch = fitting(model.card.name)
    assert batch.dtype == np.float32
    assert batch.shape[1:] == shapes_of(model.card.name)[0]
    assert np.isfinite(batch).all()
    assert any(np.array_equal(values_of(image), values) for values in before)


@pytest.mark.parametrize("answer", [0.0, 1.0])
def test_interpret_gives_known_outputs_on_the_grid_of_the_image(model: Model, answer: float) -> None:
    image, batch = fitting(model.card.name)
    part = load_part(model.folder, "preprocess")
    prediction = np.full((len(batch), *shapes_of(model.card.name)[1]), answer, np.float32)
    try:
        interpretation = part.interpret(prediction, image)
    except StudyRefused as refusal:
        if model.card.task in MAY_REFUSE_AN_ANSWER:
            return
        pytest.fail(str(refusal))
    assert isinstance(interpretation, Interpretation)
    check(interpretation, image)
    describe(interpretation, model, image)


def check(interpretation: Interpretation, image: PlanarImage | Volume) -> None:
    """Fail where something concluded does not lie on the image or cannot be a probability or a remark."""
    for region in interpretation.regions:
        assert region.mask.shape == values_of(image).shape
        assert region.mask.dtype == np.bool_
        assert region.mask.any()
    for classification in interpretation.classifications:
        assert sum(classification.probabilities.values()) == pytest.approx(1, abs=1e-4)
    for quantity in interpretation.quantities:
        assert quantity.low <= quantity.value <= quantity.high
    for value_map in interpretation.maps:
        assert (value_map.values.shape, value_map.values.dtype) == (values_of(image).shape, np.float32)
    for refined in interpretation.refinements:
        finer = tuple(np.multiply(values_of(image).shape, refined.factors).tolist())
        assert (refined.voxels.shape, refined.voxels.dtype) == (finer, np.float32)
    assert all(remark.endswith(".") for remark in interpretation.remarks)


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
    counted = "pictures" if "pictures" in scores else "cases"
    assert scores[counted] == evaluation["all"][counted]
    for measure, found in evaluation["all"]["methods"]["network"].items():
        assert scores[measure] == pytest.approx(found, abs=0.0005)


def test_every_key_of_model_toml_is_explained(model: Model) -> None:
    explained = (MODELS / "README.md").read_text(encoding="utf-8")
    criteria = (MODELS.parent / "config" / "routes.toml").read_text(encoding="utf-8")
    card = tomllib.loads((model.folder / "model.toml").read_text(encoding="utf-8"))
    keys = {key for key in card if not isinstance(card[key], dict)} | set(card["weights"])
    for table in (*card["input"].values(), *card.get("output", {}).values()):
        keys |= set(table)
    assert [key for key in sorted(keys) if f"`{key}`" not in explained and f"\n# {key} = " not in criteria] == []


def test_all_weights_together_are_small_enough_to_clone() -> None:
    assert sum(model.weights.stat().st_size for model in CATALOG.models.values()) < MOST_BYTES_TOGETHER
