"""A model folder that is exchanged while the node runs: no result states a model that did not make it."""

from __future__ import annotations

from pathlib import Path

import pytest
from inference.analysing import Analysing, analysing
from site_model import write_site_model
from volumes import mr_study

from node.catalog import Catalog
from node.errors import ModelChanged, WeightsMismatch
from node.inference.network import Network
from node.states import JobState

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_site_model(tmp_path / "models")


def exchange(model: Path, file: str = "preprocess.py") -> None:
    """Put another version in the place of a file of the model."""
    path = model / file
    path.write_bytes(path.read_bytes() + b"\n# another version\n")


def waiting(tmp_path: Path, model: Path) -> Analysing:
    """Return a node where a job waits that names the model as it is now."""
    node = analysing(tmp_path, model)
    node.bring(*mr_study(slices=4))
    assert node.side.complete(60) == 1
    return node


def identities_of(node: Analysing) -> set[str]:
    """Return the hashes that row and results of the first study state for their model, every result one."""
    job = node.run()
    assert job.state is JobState.DONE
    stated = {job.model_sha256}
    for result in node.results(job).values():
        (model,) = [e for e in result.ContributingEquipmentSequence if e.get("ManufacturerModelName") == job.model]
        stated.add(str(model.SoftwareVersions[1]))
    return stated


def test_row_and_every_result_name_the_model_that_is_in_the_folder(tmp_path: Path, model: Path) -> None:
    assert identities_of(waiting(tmp_path, model)) == {Catalog([model.parent])[model.name].identity.sha256}


def test_a_job_whose_row_names_another_model_does_not_run(tmp_path: Path, model: Path) -> None:
    node = waiting(tmp_path, model)
    node.side.queue.adopt_models({model.name: "f" * 64})
    with pytest.raises(ModelChanged, match=r"expected f{12}.* as the job says; restart the node"):
        node.run()


@pytest.mark.parametrize("file", ["preprocess.py", "model.toml"])
def test_a_model_that_is_exchanged_before_it_is_loaded_does_not_run(tmp_path: Path, model: Path, file: str) -> None:
    node = waiting(tmp_path, model)
    exchange(model, file)
    with pytest.raises(ModelChanged, match="found SHA-256"):
        node.run()


def test_a_model_that_is_loaded_goes_on_as_it_was_when_its_folder_is_exchanged(tmp_path: Path, model: Path) -> None:
    node = waiting(tmp_path, model)
    before = Catalog([model.parent])[model.name].identity.sha256
    node.execution.warm_up(model.name)
    (model / "preprocess.py").write_text("raise RuntimeError('another version')\n")
    assert identities_of(node) == {before}


def test_weights_that_are_not_those_of_the_card_are_never_loaded(model: Path) -> None:
    exchange(model, "weights.weights.h5")
    with pytest.raises(WeightsMismatch, match=r"has SHA-256 .*model\.toml says"):
        Network(Catalog([model.parent])[model.name])
