"""The gate of a model: what it turns down is refused with its reason, what it lets through is analysed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from site_model import NAME, write_site_model
from volumes import mr_study

from node.catalog import Catalog, Model
from node.errors import ModelCardError, SeriesRefused, StudyRefused
from node.inference.analysis import Analysis, Gate, analyse
from node.inference.loading import load_part
from node.inference.network import Network

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras 3 with NumPy 2

GATE = "any_mr_bright_enough"

CARD = """
schema = 1
name = "any_mr_bright_enough"
title = "Bright enough"
version = "1.0.0"
task = "gate"
status = "experimental"

[weights]
file = "weights.weights.h5"
sha256 = "{sha256}"

[input.series]
level = "series"
modality = ["MR"]

[scores]
"""

ARCHITECTURE = '''
"""A network that gives the mean of its numbers."""

import keras


def build():
    """Return (8,) -> (1,)."""
    numbers = keras.Input((8,))
    return keras.Model(numbers, keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")(numbers) / 8)
'''

PREPROCESS = '''
"""Whether a volume is bright enough to be looked at."""

import numpy as np

from node.errors import SeriesRefused
from node.vocabulary import Interpretation


def prepare(volume):
    """Return eight shades of the volume; raises SeriesRefused for one of a single shade."""
    if np.ptp(volume.voxels) == 0:
        raise SeriesRefused("the volume has a single shade")
    return np.percentile(volume.voxels, np.linspace(0, 100, 8)).astype(np.float32)[None]


def interpret(prediction, volume):
    """Let bright volumes pass."""
    if prediction[0, 0] < 500:
        raise SeriesRefused(f"the volume is too dark ({prediction[0, 0]:.0f}, expected at least 500)")
    return Interpretation()
'''


def write_gate(folder: Path, name: str = GATE, card: str = CARD) -> Path:
    gate = folder / name
    gate.mkdir(parents=True)
    (gate / "architecture.py").write_text(ARCHITECTURE)
    (gate / "preprocess.py").write_text(PREPROCESS)
    weights = gate / "weights.weights.h5"
    load_part(gate, "architecture").build().save_weights(weights)
    (gate / "model.toml").write_text(card.format(sha256=hashlib.sha256(weights.read_bytes()).hexdigest()))
    return gate


def name_gate(model: Path, gate: str = GATE) -> None:
    card = model / "model.toml"
    card.write_text(card.read_text().replace('task = "segmentation"', f'task = "segmentation"\ngate = "{gate}"'))


@pytest.fixture
def guarded(tmp_path: Path) -> Model:
    name_gate(write_site_model(tmp_path))
    write_gate(tmp_path)
    return Catalog([tmp_path])[NAME]


def series(hu: int) -> list[Dataset]:
    """Return eight slices, a tenth of them bright in one corner, as stored values 1024 above these HU."""
    values = np.full((8, 24, 30), hu, np.int16)
    values[:, :6, :10] = hu + 900
    return mr_study(slices=8, hu=values)


def run(model: Model, datasets: list[Dataset]) -> Analysis:
    gate = None if model.gate is None else Gate(model.gate, Network(model.gate).predict)
    return analyse({"series": datasets}, model, Network(model).predict, gate)


def test_what_the_gate_turns_down_is_refused_with_the_reason_and_the_name_of_the_gate(guarded: Model) -> None:
    with pytest.raises(SeriesRefused, match=r"^Bright enough: the volume is too dark \(\d+, expected at least 500\)$"):
        run(guarded, series(-1000))


def test_a_gate_may_turn_an_image_down_before_its_network_sees_it(guarded: Model) -> None:
    with pytest.raises(StudyRefused, match=r"^Bright enough: the volume has a single shade$"):
        run(guarded, mr_study(slices=8, hu=np.full((8, 24, 30), 100, np.int16)))


def test_what_the_gate_lets_through_is_analysed_as_without_it(guarded: Model, tmp_path: Path) -> None:
    free = Catalog([write_site_model(tmp_path / "free").parent])[NAME]
    with_gate, without = run(guarded, series(200)), run(free, series(200))
    (found,), (expected,) = with_gate.description.findings, without.description.findings
    assert np.array_equal(found.mask, expected.mask)
    assert with_gate.remarks == without.remarks
    assert "gate_ms" in with_gate.durations_ms.keys() - without.durations_ms.keys()


def test_an_error_in_a_gate_is_no_refusal(guarded: Model) -> None:
    assert guarded.gate is not None

    def break_down(_batch: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        analyse({"series": series(200)}, guarded, Network(guarded).predict, Gate(guarded.gate, break_down))


@pytest.mark.parametrize("name", ["preprocess.py", "architecture.py", "weights.weights.h5", "model.toml"])
def test_every_file_of_its_gate_is_part_of_a_models_identity(guarded: Model, tmp_path: Path, name: str) -> None:
    before = guarded.identity
    file = tmp_path / GATE / name
    file.write_bytes(file.read_bytes() + b"\n# changed\n")
    after = Catalog([tmp_path])[NAME].identity
    assert (before.name, before.version) == (after.name, after.version)
    assert before.sha256 != after.sha256


def test_a_gate_that_is_not_installed_is_named(tmp_path: Path) -> None:
    name_gate(write_site_model(tmp_path))
    with pytest.raises(ModelCardError, match=f"gate: found '{GATE}'; expected the name of an installed model"):
        Catalog([tmp_path])


def test_a_gate_that_has_a_gate_itself_is_refused(tmp_path: Path) -> None:
    name_gate(write_site_model(tmp_path))
    write_gate(tmp_path)
    write_gate(tmp_path, "any_mr_inner_gate", CARD.replace(GATE, "any_mr_inner_gate"))
    name_of_inner = (tmp_path / GATE / "model.toml").read_text()
    (tmp_path / GATE / "model.toml").write_text(
        name_of_inner.replace('task = "gate"', 'task = "gate"\ngate = "any_mr_inner_gate"')
    )
    with pytest.raises(ModelCardError, match="has no gate itself"):
        Catalog([tmp_path])


def test_a_gate_that_takes_single_images_is_none_for_a_series(tmp_path: Path) -> None:
    name_gate(write_site_model(tmp_path))
    write_gate(tmp_path, card=CARD.replace('level = "series"', 'level = "instance"'))
    with pytest.raises(ModelCardError, match="takes one series"):
        Catalog([tmp_path])
