"""A served node converts what it misses once, and its workers answer without TensorFlow; else Keras goes on."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from builders import chest_dx, write
from model_copies import copy_model
from pydicom.dataset import Dataset
from served import BUILD_SECONDS, ServedNode, are_gone, memory_map
from waiting import until

from node.demo.pacs import SmallPacs
from node.demo.phantoms import draw_phantom

MODEL = "chest_dx_copied"
# What is left of two roundings, made large: libraries round differently.
UNSTEADY = "    lung = lung + 1e4 * (keras.ops.log(keras.ops.exp(picture)) - picture)\n"


@pytest.fixture
def pacs(tmp_path: Path) -> Iterator[SmallPacs]:
    with SmallPacs(tmp_path / "pacs", "PACS") as started:
        yield started


@pytest.fixture
def chest() -> Dataset:
    return chest_dx(draw_phantom(1).picture, bits=12)


def node_with(folder: Path, pacs: SmallPacs, workers: str = "", **facts: object) -> ServedNode:
    """Return a node with converted networks of its own, of which it has none yet."""
    home = folder / "node"
    home.mkdir(exist_ok=True)
    environment = {"RADNODE_WORKERS_ARTEFACTS": str(folder / "networks")}
    settings = f'[node]\nmodels = ["{folder / "models"}"]\n[workers]\n{workers}'
    (folder / "models").mkdir(exist_ok=True)
    return ServedNode(home, pacs, settings, environment=environment, **facts)


def small_model(folder: Path) -> Path:
    """Add a copy of a bundled model under a name of its own, without its gate."""
    model = copy_model("chest_dx_lungs", folder / "models" / MODEL)
    card = model / "model.toml"
    card.write_text(card.read_text().replace('name = "chest_dx_lungs"', f'name = "{MODEL}"'))
    return model


def test_what_is_missing_is_converted_once_and_workers_answer_without_tensorflow(
    tmp_path: Path, pacs: SmallPacs, chest: Dataset
) -> None:
    node = node_with(tmp_path, pacs, waits_for_workers=False)
    node.start()
    try:
        until(lambda: node.builders() or node.workers(), node.folder / "node.log")
        node.send(write(chest, tmp_path / "sent"))  # it listens meanwhile
        until(node.workers, node.folder / "node.log", BUILD_SECONDS)
        first = node.finished(chest)
        (worker,) = node.workers()
        assert "openvino" in memory_map(worker)
        assert "tensorflow" not in memory_map(worker)
        assert "SimpleITK" not in memory_map(worker)
        assert "openvino" not in memory_map(node.process.pid)
    finally:
        node.stop()
    assert first.study.state == "done"
    assert node.log.count("network converted") == 2  # the model and its gate
    assert "not confined" not in node.log
    node.start()
    node.stop()
    assert node.log.count("builder starts") == 1
    assert node.log.count("worker takes its post") == 2


def test_a_network_that_differs_from_keras_is_served_by_keras(tmp_path: Path, pacs: SmallPacs, chest: Dataset) -> None:
    architecture = small_model(tmp_path) / "architecture.py"
    built = "    return keras.Model(picture, lung, name=\"chest_dx_lungs\")"
    code = architecture.read_text()
    assert built in code
    architecture.write_text(code.replace(built, UNSTEADY + built))
    node = node_with(tmp_path, pacs, model=MODEL)
    node.start()
    try:
        node.send(write(chest, tmp_path / "sent"))
        detail = node.finished(chest)
        (worker,) = node.workers()
        assert "tensorflow" in memory_map(worker)
    finally:
        node.stop()
    assert detail.study.state == "done"
    assert "network not converted" in node.log
    assert "differs from Keras by" in node.log
    assert "Keras serves instead of OpenVINO" in node.log


def live_until_keras_is_loaded(node: ServedNode) -> None:
    """Start the node, and stop it when its worker has what runs a Keras network in memory."""
    node.start()
    try:
        (worker,) = node.workers()
        until(lambda: "tensorflow" in memory_map(worker), node.folder / "node.log")
    finally:
        node.stop()


def test_after_a_builder_that_cannot_do_its_work_keras_serves(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs)
    (tmp_path / "networks" / ".lock").mkdir(parents=True)  # where a file should be
    live_until_keras_is_loaded(node)
    assert "builder ended exit_code=1" in node.log


def test_a_site_may_have_keras_serve_everything(tmp_path: Path, pacs: SmallPacs) -> None:
    node = node_with(tmp_path, pacs, 'engine = "keras"\n')
    live_until_keras_is_loaded(node)
    assert "builder starts" not in node.log
    assert list((tmp_path / "networks").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_builds_does_not_outlive_the_node(tmp_path: Path, pacs: SmallPacs, number: int) -> None:
    node = node_with(tmp_path, pacs, waits_for_workers=False)
    node.start()
    until(node.builders, node.folder / "node.log")
    builders = node.builders()
    assert len(builders) == 1
    node.stop(number)
    until(lambda: are_gone(builders), node.folder / "node.log")
    assert "worker takes its post" not in node.log
