"""Weights of a training, run as an evaluation does."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from node.training.options import TrainingOptions
from node.training.precision import build_in_bfloat16
from node.training.prediction import load_network, predict_with
from node.training.run_record import RunRecord, write_record

# Keras 3.15 hands its variables to h5py in a way that NumPy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def small(units: int = 2) -> keras.Model:
    keras.utils.set_random_seed(units)
    numbers = keras.Input((3,))
    hidden = keras.layers.Dense(units, name="hidden")(numbers)
    return keras.Model(numbers, keras.layers.Dense(1, dtype="float32", name="answer")(hidden))


def test_weights_of_a_variant_come_with_its_network(tmp_path: Path) -> None:
    weights = tmp_path / "best.weights.h5"
    larger = small(5)
    larger.save_weights(weights)
    write_record(RunRecord("m", "set", TrainingOptions(variant="tutorial")), tmp_path)
    network = load_network(weights, small, {"tutorial": lambda: small(5)})
    batch = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_allclose(np.asarray(network(batch)), np.asarray(larger(batch)))


def test_a_batch_in_parts_gives_what_the_whole_gives() -> None:
    network = small()
    batch = np.random.default_rng(1).normal(size=(7, 3)).astype(np.float32)
    np.testing.assert_allclose(predict_with(network, at_once=3)(batch), np.asarray(network(batch)), rtol=1e-6)


def test_a_network_built_for_training_computes_in_half_precision_with_weights_that_fit_the_served_one(
    tmp_path: Path,
) -> None:
    before = keras.config.dtype_policy().name
    fast = build_in_bfloat16(small)
    assert keras.config.dtype_policy().name == before
    assert fast.get_layer("hidden").compute_dtype == "bfloat16"
    assert {weight.dtype for weight in fast.weights} == {"float32"}
    fast.save_weights(tmp_path / "w.weights.h5")
    served = small(2)
    served.set_weights([np.zeros_like(weight) for weight in served.get_weights()])
    served.load_weights(tmp_path / "w.weights.h5")
    for ours, theirs in zip(served.get_weights(), fast.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
